/// What engines say of a container, as an Instance.
#pragma once

#include <optional>
#include <string>

#include <kortex/types.hpp>

#include "engine/json_read.hpp"

namespace kortex::engine {

[[nodiscard]] State state_of(std::string_view engine_word);

/// Of GET /containers/{id}/json, podman and docker alike.
[[nodiscard]] Instance from_inspect(const json::value& container);
/// One entry of the lists, docker's and libpod's; `key` is filled in.
[[nodiscard]] Instance from_docker_list(const json::value& entry);
[[nodiscard]] Instance from_libpod_list(const json::value& entry);

/// "Exited (137) 2 minutes ago": docker's list tells the exit status nowhere else. -1: not in there.
[[nodiscard]] int exit_code_in(std::string_view docker_status);

}  // namespace kortex::engine
