/// Ending an instance's processes for good.
#pragma once

#include <cstdint>
#include <string>

#include "instance_files.hpp"

namespace kortex::process {

/// Kills the holder, and whatever else holds the instance's story open: what start() left half done.
void kill_instance(const InstanceFiles&);

/// Kills everything of the user's whose environment has `marker` ("K=V"), until nothing is left.
void kill_marked(const std::string& marker);

/// One of those; 0: there is none.
[[nodiscard]] std::int64_t find_marked(const std::string& marker);

}  // namespace kortex::process
