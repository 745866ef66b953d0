/// The programs of other packages that this runtime uses.
#pragma once

#include <functional>
#include <string>

#include <kortex/call.hpp>

namespace kortex::microvm {

/// Where PATH, the system's directories or one of `elsewhere` have it; "": nowhere.
[[nodiscard]] std::string find_program(const std::string& name, std::initializer_list<const char*> elsewhere = {});
/// Throws UNAVAILABLE with what to install.
[[nodiscard]] std::string need_program(const std::string& name, const std::string& package, const std::string& why,
                                       std::initializer_list<const char*> elsewhere = {});

struct Virtiofsd {
  std::string path;
  bool rust = false;  ///< the one that comes in a package of its own: other options than QEMU's former own
};
[[nodiscard]] Virtiofsd find_virtiofsd();  ///< an empty path: none

/// Of this machine's architecture.
[[nodiscard]] std::string qemu_name();
[[nodiscard]] std::string qemu_package();  ///< of Debian

/// Runs `argv` with its output to `out_fd`; throws BACKEND with what it said when it fails.
void run_into(const Call& call, const std::string& what, const std::vector<std::string>& argv, int out_fd = -1);

/// Runs `argv`, whose input is what `write` writes to the descriptor that it is given, in a thread of its own. Throws what `write` throws,
/// unless the program wants no more, which its status tells.
[[nodiscard]] ProcessResult run_fed(const Call& call, const std::vector<std::string>& argv, const std::function<void(int fd)>& write, int out_fd = -1);

}  // namespace kortex::microvm
