/// Agents: programs to run in an instance, each a JSON file. Shipped ones are installed as data; a file of
/// the same name in `<store>/agents` overrides one.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "config/configuration.hpp"

namespace kortex::host {

struct Agent {
  std::string name;          ///< the file's name without .json
  std::string description;
  std::vector<std::string> command;
  std::vector<std::string> model_arguments;  ///< appended when a model was named; "{model}" stands for it
  std::vector<EnvironmentVariable> environment;
  std::vector<Mount> mounts;
  std::vector<Port> ports;
  std::filesystem::path file;
  std::string error;  ///< list(): why the file cannot be used; empty: it can
};

/// From text; `file` is what messages call it. Throws Error(refused).
[[nodiscard]] Agent parse_agent(std::string_view text, const std::string& name, const std::filesystem::path& file, const PathVariables&);

class AgentCatalog {
 public:
  /// Directories in order of precedence; missing ones are fine.
  AgentCatalog(std::vector<std::filesystem::path> directories, PathVariables variables)
      : m_directories(std::move(directories)), m_variables(std::move(variables)) {}

  /// Reads that agent's file only. Throws Error(usage): no such agent, with close matches; Error(refused): file:line:column.
  [[nodiscard]] Agent find(const std::string& name) const;
  /// All, in name order; broken files are entries with `error`.
  [[nodiscard]] std::vector<Agent> list() const;
  /// Their names, without reading the files.
  [[nodiscard]] std::vector<std::string> names() const;

 private:
  std::vector<std::filesystem::path> m_directories;
  PathVariables m_variables;
};

}  // namespace kortex::host
