/// The part of the sandbox that is the same for every workspace: programs, libraries, and the few files of
/// /etc that programs need. Everything read-only, nothing with a secret in it, not even for root.
#pragma once

#include <vector>

#include "sandbox_view.hpp"

namespace kortex::process {

[[nodiscard]] std::vector<Mounted> system_files();

}  // namespace kortex::process
