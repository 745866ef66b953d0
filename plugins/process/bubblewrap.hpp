/// Is bubblewrap here, and does this machine let it make a sandbox? Found out by making one.
#pragma once

#include <string>

#include <kortex/runtime.hpp>

namespace kortex::process {

enum class NetworkOf { host, own };

/// Throws Error(KORTEX_E_UNAVAILABLE) that says why not and what to do.
void require_bubblewrap(const Call&, NetworkOf);

/// The same, but takes the word of an earlier success of this very program for this user since the machine started:
/// kept in `runtime_dir`, which does not outlive that. A failure is never remembered. What has changed since, start() tells.
void require_bubblewrap_once(const Call&, NetworkOf, const std::string& runtime_dir);

/// "bubblewrap 0.8.0". Throws as above when it is not installed.
[[nodiscard]] std::string bubblewrap_version(const Call&);

}  // namespace kortex::process
