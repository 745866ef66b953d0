#include "instances/plan.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <system_error>

#include "instances/mount_rules.hpp"
#include "instances/names.hpp"
#include "instances/project.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

namespace {

/// Records are JSON: what is no UTF-8 could not be stored and read back.
void require_utf8(const std::string& what, const std::string& text) {
  if (!is_utf8(text)) throw Error(ErrorKind::refused, "cannot register a workspace: " + what + " is not valid UTF-8");
}

/// A shell makes an empty word of a variable that is not set: taken for the working directory it would be a surprise.
void require_text(const std::string& what, const std::string& given) {
  if (given.empty()) throw Error(ErrorKind::usage, what + " must not be empty");
}

std::string canonical_directory(const std::string& what, const std::string& given, const std::string& cwd) {
  require_text("the path of " + what, given);
  const fs::path path = fs::path(given).is_absolute() ? fs::path(given) : fs::path(cwd) / given;
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  if (error) throw Error(ErrorKind::failed, "cannot use " + what + " '" + given + "': " + reason_of(error.value()));
  if (!fs::is_directory(real, error)) throw Error(ErrorKind::failed, "cannot use " + what + " '" + given + "': not a directory");
  require_utf8("the path of " + what, real.string());
  return real.string();
}

std::string sources_directory(const std::string& given, const std::string& cwd) {
  std::string real = canonical_directory("the sources", given, cwd);
  if (const auto kernel = kernel_directory_of(real))
    throw Error(ErrorKind::refused, "cannot use the sources '" + given + "': '" + *kernel + "' is the kernel's own, and no folder to work in");
  return real;
}

Agent find_agent(const InitRequest& request, const Configuration& configuration, const AgentCatalog& agents) {
  if (request.agent) return agents.find(*request.agent);
  if (!configuration.agent) return agents.find("shell");
  try {
    return agents.find(*configuration.agent);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    throw Error(ErrorKind::refused, configuration.place({"agent"}) + ": " + error.message(), error.hint());
  }
}

/// The configuration's variables win over the agent's.
void merge_environment(const Agent& agent, const Configuration& configuration, WorkspaceSpec& spec) {
  const auto add = [&](const EnvironmentVariable& variable) {
    if (variable.value) spec.env.emplace_back(variable.name, *variable.value);
    else spec.env_passthrough.push_back(variable.name);
  };
  for (const auto& variable : agent.environment) {
    const bool replaced = std::any_of(configuration.environment.begin(), configuration.environment.end(),
                                      [&](const EnvironmentVariable& other) { return other.name == variable.name; });
    if (!replaced) add(variable);
  }
  for (const auto& variable : configuration.environment) add(variable);
}

template <typename Item>
bool has_target(const std::vector<Item>& items, const Item& wanted) {
  return std::any_of(items.begin(), items.end(), [&](const Item& item) { return item.target == wanted.target; });
}

/// `place` tells where the index-th mount's host or target is written.
void check_mounts(const std::vector<Mount>& mounts, const WorkspaceSpec& spec,
                  const std::function<std::string(std::size_t index, const char* key)>& place) {
  for (std::size_t i = 0; i < mounts.size(); ++i) {
    const Mount& mount = mounts[i];
    if (const auto objection = objection_to(mount, spec))
      throw Error(ErrorKind::refused, place(i, objection->about == Objection::About::host ? "host" : "target") + ": " + objection->reason,
                  objection->hint);
    if (mount.optional || ::access(mount.host.c_str(), F_OK) == 0) continue;
    throw Error(ErrorKind::refused, place(i, "host") + ": cannot mount '" + mount.host + "': " + reason_of(errno),
                "write \"optional\": true beside it if it may be missing");
  }
}

void check_build(const WorkspaceSpec& spec, const Configuration& configuration) {
  std::error_code error;
  const auto refuse = [&](const char* key, const std::string& path, const char* what) {
    const std::string reason = fs::exists(path, error) ? std::string("not a ") + what : std::string("no such ") + what;
    throw Error(ErrorKind::refused, configuration.place({"build", key}) + ": cannot build from '" + path + "': " + reason);
  };
  if (!spec.build_context.empty() && !fs::is_directory(spec.build_context, error)) refuse("context", spec.build_context, "directory");
  if (!spec.build_file.empty() && !fs::is_regular_file(spec.build_file, error)) refuse("file", spec.build_file, "file");
}

}  // namespace

Plan make_plan(const InitRequest& request, const ManagerContext& context, const AgentCatalog& agents) {
  Plan plan;
  WorkspaceSpec& spec = plan.spec;
  spec.source_path = sources_directory(request.sources, context.cwd);
  spec.target_path = spec.source_path;  // the same path inside and outside: what tools print can be opened
  ConfigurationPlace place = ConfigurationPlace::sources;
  spec.config_path = spec.source_path + (spec.source_path == "/" ? ".kortex" : "/.kortex");
  if (request.configuration_directory) {
    place = ConfigurationPlace::anywhere;
    spec.config_path = canonical_directory("the configuration directory", *request.configuration_directory, context.cwd);
    if (::access((spec.config_path + "/workspace.json").c_str(), F_OK) != 0 && errno == ENOENT)
      plan.warnings.push_back("'" + *request.configuration_directory + "' has no workspace.json");
  }
  plan.configuration = read_configuration(spec.config_path, {spec.source_path, context.home}, place);
  const Configuration& configuration = plan.configuration;

  const Agent agent = find_agent(request, configuration, agents);
  spec.agent_name = agent.name;
  spec.agent_argv = agent.command;
  if (request.model) {
    require_text("the model", *request.model);
    require_utf8("the model", *request.model);
    if (agent.model_arguments.empty()) plan.warnings.push_back("agent '" + agent.name + "' takes no model: '" + *request.model + "' is only noted");
    for (std::string argument : agent.model_arguments) {
      for (auto at = argument.find("{model}"); at != std::string::npos; at = argument.find("{model}", at + request.model->size()))
        argument.replace(at, 7, *request.model);
      spec.agent_argv.push_back(std::move(argument));
    }
  }
  merge_environment(agent, configuration, spec);
  for (const auto& mount : agent.mounts)
    if (!has_target(configuration.mounts, mount)) plan.agent_mounts.push_back(mount);
  check_mounts(plan.agent_mounts, spec, [&](std::size_t, const char*) { return agent.file.string(); });
  check_mounts(configuration.mounts, spec, [&](std::size_t i, const char* key) { return configuration.place({"mounts", i, key}); });
  spec.mounts = configuration.mounts;
  WorkspaceSpec all = spec;
  all.mounts.insert(all.mounts.end(), plan.agent_mounts.begin(), plan.agent_mounts.end());
  if (const auto escape = escape_of(all)) throw Error(ErrorKind::refused, *escape);
  for (const auto& port : agent.ports)
    if (!has_target(configuration.ports, port)) spec.ports.push_back(port);
  spec.ports.insert(spec.ports.end(), configuration.ports.begin(), configuration.ports.end());
  spec.network = configuration.network.value_or(Network{});
  plan.network_stated = configuration.network.has_value();
  spec.resources = configuration.resources;
  spec.image = configuration.image.value_or("");
  spec.build_context = configuration.build_context.value_or("");
  spec.build_file = configuration.build_file.value_or("");
  check_build(spec, configuration);

  if (request.project) require_utf8("the project", *request.project);
  spec.project = request.project ? *request.project : project_of(spec.source_path);
  struct stat status {};
  if (::stat(spec.source_path.c_str(), &status) == 0) {
    spec.uid = status.st_uid;
    spec.gid = status.st_gid;
  }
  // An option that the command line gives replaces all its values in the configuration.
  for (const auto& option : configuration.runtime_options) {
    const bool replaced = std::any_of(request.runtime_options.begin(), request.runtime_options.end(),
                                      [&](const auto& given) { return given.first == option.first; });
    if (!replaced) plan.runtime_options.push_back(option);
  }
  for (const auto& [key, value] : request.runtime_options) {
    require_utf8("the runtime option '" + key + "'", key + value);
    plan.runtime_options.emplace_back(key, value);
  }
  return plan;
}

}  // namespace kortex::host
