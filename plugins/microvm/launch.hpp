/// Starting QEMU and what serves it, so that they outlive us and nothing lives unseen.
#pragma once

#include <string>
#include <vector>

#include "instance_files.hpp"

namespace kortex::microvm {

/// The descriptor on which programs beside QEMU get their socket.
inline constexpr int service_descriptor = 4;

struct Launch {
  std::vector<std::string> qemu, share;
  std::vector<std::string> network;  ///< empty: none
  unsigned sessions = 0;
};

/// Returns when all of it runs. `lock`: of take_lock(). Throws kortex::Error.
void launch(const InstanceFiles&, const Launch&, Fd lock);

}  // namespace kortex::microvm
