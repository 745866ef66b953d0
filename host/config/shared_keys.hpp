/// The keys that workspace.json and agent files have alike.
#pragma once

#include <vector>

#include "config/configuration.hpp"
#include "config/json_document.hpp"

namespace kortex::host {

[[nodiscard]] std::vector<Mount> read_mounts(const JsonReader&, const PathVariables&);
[[nodiscard]] std::vector<EnvironmentVariable> read_environment(const JsonReader&);
[[nodiscard]] std::vector<Port> read_ports(const JsonReader&);

}  // namespace kortex::host
