#include "cli/invocation.hpp"

#include <kortex/runtime.h>

#include "cli/locations.hpp"
#include "cli/output/text.hpp"
#include "cli/values.hpp"

namespace kortex::host {

std::optional<std::string> Invocation::option(std::string_view name) const {
  const auto found = m_request.options.find(name);
  if (found == m_request.options.end() || found->second.empty()) return std::nullopt;
  return found->second.back();
}

std::vector<std::string> Invocation::options(std::string_view name) const {
  const auto found = m_request.options.find(name);
  return found == m_request.options.end() ? std::vector<std::string>() : found->second;
}

bool Invocation::json() const { return option("output") == "json"; }

bool Invocation::colours() const { return m_environment.out_tty && !m_environment.variable("NO_COLOR"); }

std::chrono::milliseconds Invocation::timeout() const {
  const std::optional<std::string> given = option("timeout");
  return given ? parse_duration(*given, "'--timeout'") : std::chrono::milliseconds(0);
}

Store Invocation::store() const { return Store(storage_directory(m_environment, option("storage"))); }

Registry Invocation::registry() const {
  SearchPathInputs inputs;
  inputs.flags = options("runtime-path");
  for (std::string& flag : inputs.flags) {
    const std::string given = flag;
    if (!flag.empty() && flag.front() != '/') flag = (std::filesystem::path(m_environment.cwd()) / flag).lexically_normal();
    std::error_code error;
    // Of the places that are only usual some are missing; this one was named.
    if (!std::filesystem::is_directory(flag, error))
      throw Error(ErrorKind::usage, "cannot look for runtimes in " + in_quotes(given) + ": " +
                                        (error ? reason_of(error.value()) : std::string("not a directory")));
  }
  inputs.variable = m_environment.variable("KORTEX_CLI_RUNTIME_PATH");
  inputs.home = home_directory(m_environment);
  inputs.binary = m_environment.binary();
  return Registry(search_path(inputs), Pins(pin_directories(m_environment)));
}

AgentCatalog Invocation::agents(const std::string& sources) const {
  PathVariables variables;
  variables.sources = sources.empty() ? "$SOURCES" : sources;
  variables.home = home_directory(m_environment);
  return AgentCatalog(agent_directories(m_environment, store().agents_directory()), std::move(variables));
}

RuntimeContext Invocation::runtime_context(const std::string& runtime) {
  RuntimeContext context;
  // Not store().runtime_directory(), which makes it: commands that only read work on a read-only store.
  context.state_dir = (store().root() / "runtimes" / runtime).string();
  context.cache_dir = cache_directory(m_environment, runtime);
  context.runtime_dir = volatile_directory(m_environment, runtime);
  context.session_program = session_program(m_environment);
  context.interactive = m_environment.err_tty;
  context.verbose = verbose();
  Reporter& reporter = m_reporter;
  context.progress = [&reporter, runtime](const Progress& progress) { reporter.progress(runtime, progress); };
  context.idle = [&reporter] { return reporter.repaint(); };
  context.log = [&reporter, runtime, says_all = verbose()](int level, const std::string& message) {
    const std::string text = "runtime '" + runtime + "': " + message;
    if (level >= KORTEX_LOG_WARN)
      reporter.warning(text);
    else if (says_all)
      reporter.notice(text);
  };
  return context;
}

Manager Invocation::manager(const std::string& sources) {
  ManagerContext context;
  // Only what registers sources is told where it stands: a directory that is gone is no obstacle to the others.
  if (!sources.empty()) context.cwd = m_environment.cwd();
  context.home = home_directory(m_environment);
  context.getenv = m_environment.getenv;
  context.runtime_context = [this](const std::string& runtime) { return runtime_context(runtime); };
  context.notice = [this](const std::string& text) { m_reporter.notice(text); };
  context.warning = [this](const std::string& text) { m_reporter.warning(text); };
  context.timeout = timeout();
  return Manager(store(), registry(), agents(sources), std::move(context));
}

}  // namespace kortex::host
