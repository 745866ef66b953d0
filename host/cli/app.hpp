/// The command line as a function: what was typed goes in, an exit status comes out. The one place where an
/// exception becomes text and a status.
#pragma once

#include "cli/environment.hpp"

namespace kortex::host {

/// Never throws. Exit statuses: see ErrorKind; 125 when `terminal` or `exec` failed by kortex-cli's own fault;
/// 141 when the reader of standard output went away.
[[nodiscard]] int run(const Environment&);

}  // namespace kortex::host
