/// Everything of the outside world that a command may touch, passed in, so that commands run in tests
/// without a process of their own.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace kortex::host {

struct Environment {
  std::vector<std::string> args;  ///< without the program's name
  std::function<std::optional<std::string>(const std::string&)> getenv;
  std::function<std::int64_t()> now_ms;    ///< Unix time
  std::function<std::string()> cwd;        ///< throws Error: the working directory is gone
  std::function<std::string()> binary;     ///< the running executable, resolved; empty: unknown
  int in = 0, out = 1, err = 2;            ///< borrowed descriptors
  bool in_tty = false, out_tty = false, err_tty = false;
  bool privileged = false;                 ///< started set-user-id or with file capabilities

  /// A variable that is set and not empty.
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const {
    std::optional<std::string> value = getenv(name);
    if (value && value->empty()) value.reset();
    return value;
  }
};

[[nodiscard]] Environment environment_of_process(int argc, char** argv);

/// Descriptors 0 to 2 are ours whatever the caller closed: a file opened later must never become the
/// standard output. SIGPIPE is ignored: a broken pipe is a write error like any other.
void secure_standard_descriptors();

}  // namespace kortex::host
