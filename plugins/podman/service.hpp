/// Podman has no daemon. Where the user has not enabled its API socket, a service of our own is started on a
/// private one: it is shared by the commands that follow and ends by itself a few seconds after the last.
#pragma once

#include <string>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

namespace kortex::engine {

/// A connection to the service for this user's podman storage, started when nobody answers. `directory` is the
/// plugin's runtime directory. `path` receives the socket's path, for messages.
[[nodiscard]] Fd connect_service(const Call& call, const std::string& directory, std::string& path);

}  // namespace kortex::engine
