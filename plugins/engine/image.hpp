/// The image of a workspace: there already, fetched, or built.
#pragma once

#include <string>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/types.hpp>

#include "engine/api.hpp"

namespace kortex::engine {

/// Documented in the option's help; --runtime-option image=NAME chooses another.
inline constexpr const char* default_image = "docker.io/library/debian:stable-slim";

/// The tag of what is built for an instance; remove() takes it away.
[[nodiscard]] std::string built_image_name(const std::string& key);

/// Fetches `name` unless the engine has it. `pull_hint`: what to type to fetch it by hand. `credential_files`: see
/// registry_auth().
void ensure_image(const Call& call, Api& api, const std::string& name, const std::string& pull_hint,
                  const std::vector<std::string>& credential_files);

/// Builds by the engine's own program (`command`: {"docker", "-H", "unix:///..."}): it knows ignore files, build
/// secrets and registries' credentials. Shows the steps; the end of the log is the error's detail.
void build_image(const Call& call, std::vector<std::string> command, const std::string& tag, const std::string& key,
                 const Workspace& workspace);

}  // namespace kortex::engine
