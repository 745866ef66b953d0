/// The part of the sandbox that is the same for every workspace: programs, libraries, and the public part of
/// /etc. Everything read-only, nothing with a secret in it, not even for root.
#pragma once

#include <string>
#include <vector>

#include "sandbox_view.hpp"

namespace kortex::process {

/// `etc`: what is shown as /etc, from public_etc(). `open_etc`: something is to be mounted in it that it does not have; then
/// each of its entries is a mount.
[[nodiscard]] std::vector<Mounted> system_files(const std::string& etc, bool open_etc);

}  // namespace kortex::process
