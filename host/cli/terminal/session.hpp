/// What `terminal` and `exec` share: the user's terminal around a program in the instance, and how it ended.
#pragma once

#include <functional>
#include <string>

#include "cli/invocation.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// Calls `connect` with the user's terminal in raw mode where `request.tty` is set. A stopped workspace is started
/// first unless `start_first` is false. Says how it ended when that was not the program's own doing. Returns the status to exit with.
using Connect = std::function<ExecEnd(const ExecRequest&, bool start_first)>;
[[nodiscard]] int run_session(Invocation&, Manager&, const std::string& workspace, ExecRequest request,
                              bool start_first, const Connect& connect);

}  // namespace kortex::host
