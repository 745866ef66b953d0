#include "config/agents.hpp"

#include <algorithm>
#include <map>
#include <system_error>

#include "config/json_document.hpp"
#include "config/shared_keys.hpp"
#include "system/error.hpp"
#include "system/files.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

namespace {

bool is_agent_name(const std::string& name) {
  if (name.empty() || name.size() > 64 || name.front() < 'a' || name.front() > 'z') return false;
  return std::all_of(name.begin(), name.end(),
                     [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'; });
}

Agent read_agent(const std::string& name, const fs::path& file, const PathVariables& variables) {
  std::string text;
  try {
    text = read_file(file, JsonDocument::max_size);
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::refused, "cannot read agent '" + name + "' from '" + file.string() + "': " + unreadable_because(error.code()));
  }
  return parse_agent(text, name, file, variables);
}

/// name → file; the first directory that has a name wins.
std::map<std::string, fs::path> agent_files(const std::vector<fs::path>& directories) {
  std::map<std::string, fs::path> files;
  for (const auto& directory : directories) {
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end; entry.increment(error)) {
      const fs::path& file = entry->path();
      if (file.extension() == ".json" && is_agent_name(file.stem().string())) files.emplace(file.stem().string(), file);
    }
  }
  return files;
}

}  // namespace

Agent parse_agent(std::string_view text, const std::string& name, const fs::path& file, const PathVariables& variables) {
  const JsonDocument document(text, file.string(), ErrorKind::refused);
  const JsonReader root = document.root();
  root.known({"description", "command", "model_arguments", "environment", "mounts", "ports"});
  Agent agent;
  agent.name = name;
  agent.file = file;
  if (auto description = root.member("description")) agent.description = description->string();
  const auto command = root.required("command");
  agent.command = command.strings();
  if (agent.command.empty() || agent.command.front().empty()) command.fail("must name a program");
  if (auto arguments = root.member("model_arguments")) {
    agent.model_arguments = arguments->strings();
    const bool used = std::any_of(agent.model_arguments.begin(), agent.model_arguments.end(),
                                  [](const std::string& argument) { return argument.find("{model}") != std::string::npos; });
    if (!used) arguments->fail("one of them must contain '{model}'");
  }
  if (auto environment = root.member("environment")) agent.environment = read_environment(*environment);
  if (auto mounts = root.member("mounts")) agent.mounts = read_mounts(*mounts, variables);
  if (auto ports = root.member("ports")) agent.ports = read_ports(*ports);
  return agent;
}

Agent AgentCatalog::find(const std::string& name) const {
  if (is_agent_name(name))
    for (const auto& directory : m_directories) {
      const fs::path file = directory / (name + ".json");
      std::error_code error;
      const auto status = fs::symlink_status(file, error);
      if (status.type() != fs::file_type::not_found && status.type() != fs::file_type::none) return read_agent(name, file, m_variables);
    }
  const auto known = names();
  const auto close = nearest(name, known);
  std::string hint;
  if (!close.empty()) {
    hint = "did you mean '" + close.front() + "'?";
  } else {
    hint = known.empty() ? "no agents are installed" : "agents: ";
    for (std::size_t i = 0; i < known.size(); ++i) hint += (i == 0 ? "" : ", ") + known[i];
  }
  throw Error(ErrorKind::usage, "no agent '" + name + "'", hint);
}

std::vector<Agent> AgentCatalog::list() const {
  std::vector<Agent> agents;
  for (const auto& [name, file] : agent_files(m_directories)) {
    try {
      agents.push_back(read_agent(name, file, m_variables));
    } catch (const Error& error) {
      Agent broken;
      broken.name = name;
      broken.file = file;
      broken.error = error.message();
      agents.push_back(std::move(broken));
    }
  }
  return agents;
}

std::vector<std::string> AgentCatalog::names() const {
  std::vector<std::string> result;
  for (const auto& [name, file] : agent_files(m_directories)) result.push_back(name);
  return result;
}

}  // namespace kortex::host
