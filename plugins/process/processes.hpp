/// Ending processes for good, by descriptor: a pid is looked up, opened, checked again, and only then signalled.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "instance_files.hpp"

namespace kortex::process {

/// SIGKILL to `pid` if `still()` holds after its descriptor has been opened; waits until it has gone, at most `limit`.
void kill_process(std::int64_t pid, const std::function<bool()>& still, std::chrono::milliseconds limit);

/// Kills the holder, and whatever else holds the instance's story open: what start() left half done.
void kill_instance(const InstanceFiles&);

/// Kills everything of the user's whose environment has `marker` ("K=V"), until nothing is left.
void kill_marked(const std::string& marker);

}  // namespace kortex::process
