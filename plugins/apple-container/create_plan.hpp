/// What a workspace becomes with Apple's tool: one container, in the words of `container create`.
#pragma once

#include <string>
#include <vector>

#include <kortex/types.hpp>

#include "engine/plan.hpp"
#include "version.hpp"

namespace kortex::apple {

inline constexpr const char* default_image = "docker.io/library/debian:stable-slim";

// Where things are in every container of ours. The socket is on a file system of the container's own.
inline constexpr const char* program_directory = "/run/kortex/program";
inline constexpr const char* holder_path = "/run/kortex/program/kortex-session";
inline constexpr const char* socket_directory = "/run/kortex/socket";
inline constexpr const char* socket_path = "/run/kortex/socket/session.sock";

/// Of `container create`, the image and what runs in it included. Throws UNSUPPORTED, INVALID.
[[nodiscard]] std::vector<std::string> create_arguments(const engine::Container& container, const std::string& holder_directory_here, const Version& version);

/// Throws what the tool could not do for it, before anything is made.
void check_limits(const Workspace& workspace);
void check_network(const Workspace& workspace, const Version& version);
/// Folders, or files where the tool can mount these.
[[nodiscard]] bool can_mount(const std::vector<Mount>& mounts, const Version& version);

/// Ports without a number of this machine get one that is free.
void choose_ports(std::vector<Port>& ports);

}  // namespace kortex::apple
