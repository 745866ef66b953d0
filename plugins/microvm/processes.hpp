/// A machine whose files have gone, found by its process.
#pragma once

#include <cstdint>
#include <string>

namespace kortex::microvm {

/// This user's QEMU that runs the machine `name` (Machine::name), by its arguments: for when the files that tell it have gone. 0: there is none.
[[nodiscard]] std::int64_t find_machine(const std::string& name);
/// Kills it, and what holds it, until nothing is left.
void kill_machine(const std::string& name);

}  // namespace kortex::microvm
