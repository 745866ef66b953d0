/// What the agent's environment is made of.
#pragma once

#include <string>
#include <vector>

#include <kortex/runtime.hpp>

namespace kortex::process {

/// Of the user who runs us: $HOME when it is absolute, else what the user database says.
[[nodiscard]] std::string home_directory();

/// "K=V": what this runtime sets, overridden by `given` (what the host passed to start()).
[[nodiscard]] std::vector<std::string> agent_environment(const Ref&, const Workspace&, bool sandboxed,
                                                         const std::vector<std::string>& given);

/// By which the processes of an instance are found again that no lock tells of: in their environment.
[[nodiscard]] std::string instance_marker(const std::string& key);

}  // namespace kortex::process
