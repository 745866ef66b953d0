/// QEMU's control socket, for the few things that are asked of it. It serves one at a time.
#pragma once

#include <string>

#include "instance_files.hpp"

namespace kortex::microvm {

/// One command; `arguments` is a JSON object. What QEMU returned, as JSON text; "": nobody there, or no answer within
/// `limit`.
[[nodiscard]] std::string qmp(const InstanceFiles&, const std::string& command, std::chrono::milliseconds limit, const std::string& arguments = {});

/// Somebody has halted the machine's processors.
[[nodiscard]] bool is_paused(const InstanceFiles&);

}  // namespace kortex::microvm
