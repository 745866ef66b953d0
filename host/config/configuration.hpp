/// `<configuration directory>/workspace.json`: the published schema and our additions, parsed and checked.
#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "runtimes/workspace_spec.hpp"

namespace kortex::host {

struct EnvironmentVariable {
  std::string name;
  std::optional<std::string> value;  ///< absent: passed on from the user's environment by name
};

struct Configuration {
  std::vector<Mount> mounts;  ///< variables already expanded, paths absolute and normalized
  std::vector<EnvironmentVariable> environment;
  std::vector<Port> ports;
  std::optional<Network> network;  ///< absent: allow; `{}`: deny
  std::optional<std::string> agent;
  std::optional<std::string> image;
  std::optional<std::string> build_context, build_file;
  Resources resources;
  KeyValues runtime_options;
};

/// Variables of mounts: `$SOURCES` and `$HOME`, at the start of a path or after a '/'. Any other `$name` is an error.
struct PathVariables {
  std::string sources, home;
};
[[nodiscard]] std::string expand_path(const std::string& text, const PathVariables&);

/// Reads the file; a missing one is an empty configuration (a missing `directory` too).
/// Throws Error(refused): "<file>:<line>:<column>: <reason>" for syntax, unknown or duplicate keys (with the
/// nearest known key as hint), wrong types and values out of range, and by name for published keys
/// whose feature does not exist yet (mcp, skills, secrets, features, environment[].secret), unless they are empty.
[[nodiscard]] Configuration read_configuration(const std::filesystem::path& directory, const PathVariables&);

/// The same from text; `file` is what messages call it.
[[nodiscard]] Configuration parse_configuration(std::string_view text, const std::string& file, const PathVariables&);

}  // namespace kortex::host
