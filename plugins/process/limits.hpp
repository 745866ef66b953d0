/// Limits of processors, memory and processes by control group, where this user may make one: version 1
/// hierarchies or the unified one. What cannot be enforced is not claimed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <kortex/runtime.hpp>

namespace kortex::process {

/// KORTEX_GUARANTEE_CPUS, _MEMORY, _PROCESSES as far as this machine enforces them for us now.
[[nodiscard]] std::uint64_t enforceable_limits();

/// Makes the groups that the workspace's limits need; returns their directories, for a process to enter.
[[nodiscard]] std::vector<std::string> make_limit_groups(const std::string& key, const Workspace&);

/// Does nothing when there are none. Groups with a process in them stay.
void remove_limit_groups(const std::string& key);

}  // namespace kortex::process
