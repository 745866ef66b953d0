/// `<configuration directory>/workspace.json`: the published schema and our additions, parsed and checked.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/json_document.hpp"
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
  std::optional<std::string> build_context, build_file;  ///< absolute; relative ones are relative to the sources
  Resources resources;
  KeyValues runtime_options;

  std::string file, text;  ///< what it was read from, for complaints; `text` is empty when there was none
  /// "<file>:<line>:<column>" of what is found wrong only later: where the way leads, or of its last key.
  [[nodiscard]] std::string place(const std::vector<JsonStep>& way, JsonPlace = JsonPlace::value) const;
};

/// Variables of mounts: `$SOURCES` and `$HOME`, at the start of a path or after a '/'. Any other `$name` is an error.
struct PathVariables {
  std::string sources, home;
};
/// Absolute and normalized: `..` is taken as text. Throws Error(refused) with the reason alone.
[[nodiscard]] std::string expand_path(const std::string& text, const PathVariables&);

/// Where a configuration may really be once symbolic links are followed. An agent can write to the sources, so links in
/// them must not make the next `init` read a file of the user's that the agent chose.
enum class ConfigurationPlace {
  sources,   ///< found there by default: must stay inside
  anywhere,  ///< the user named the directory
};

/// Reads the file; a missing one is an empty configuration (a missing `directory` too).
/// Throws Error(refused): "<file>:<line>:<column>: <reason>" for syntax, unknown or duplicate keys (with the
/// nearest known key as hint), wrong types and values out of range, and by name for published keys
/// whose feature does not exist yet (mcp, skills, secrets, features, environment[].secret), unless they are empty.
[[nodiscard]] Configuration read_configuration(const std::filesystem::path& directory, const PathVariables&,
                                               ConfigurationPlace = ConfigurationPlace::sources);

/// The same from text; `file` is what messages call it.
[[nodiscard]] Configuration parse_configuration(std::string_view text, const std::string& file, const PathVariables&);

}  // namespace kortex::host
