// What asks and does not change: live state, and programs, logs and waits, during which no claim is held so that
// others may stop the workspace meanwhile.
#include <algorithm>
#include <optional>

#include "instances/manager.hpp"
#include "instances/names.hpp"
#include "instances/observation.hpp"
#include "instances/sources.hpp"
#include "instances/timeouts.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

void require_program(const ExecRequest& request) {
  if (!request.argv.empty() && request.argv.front().empty()) throw Error(ErrorKind::usage, "the program's name must not be empty");
}

/// `first`'s variables, replaced by those of the same name in `second`.
std::vector<std::string> merged(std::vector<std::string> first, const std::vector<std::string>& second) {
  const auto same_name = [](const std::string& a, const std::string& b) {
    const auto end = a.find('=');
    return end != std::string::npos && a.compare(0, end + 1, b, 0, end + 1) == 0;
  };
  for (const auto& variable : second) {
    first.erase(std::remove_if(first.begin(), first.end(), [&](const std::string& other) { return same_name(other, variable); }), first.end());
    first.push_back(variable);
  }
  return first;
}

}  // namespace

Workspaces Manager::list(const std::function<void(const Listing&)>& meanwhile) {
  Workspaces workspaces;
  workspaces.observation = std::make_unique<Observation>(m_store, m_registry, m_context, timeout(timeouts::inspect));
  workspaces.stored = m_store.list([&](const Summary& first) { workspaces.observation->expect(first); });
  workspaces.observed = workspaces.observation->observe(workspaces.stored.in_order(), [&] {
    if (meanwhile) meanwhile(workspaces.stored);
  });
  return workspaces;
}

Orphans Manager::orphans() { return find_orphans(m_store, m_registry, m_context, timeout(timeouts::inspect)); }

Workspace Manager::show(const std::string& given) {
  Workspace workspace;
  workspace.entry = m_store.read(m_store.resolve(given));
  Summary summary = summary_of(workspace.entry);
  const std::string state_dir = m_store.instance_directory(workspace.entry.id).string();
  summary.state_dir = state_dir;
  Observation observation(m_store, m_registry, m_context, timeout(timeouts::inspect));
  static_cast<Observed&>(workspace) = std::move(observation.observe({&summary}).front());
  if (summary.readable && workspace.problem.empty() && are_gone(summary.source)) {
    workspace.problem = gone_sources(workspace.entry.name, summary.source);
    workspace.hint = "kortex-cli remove " + std::string(is_up(workspace.state) ? "--force " : "") + typeable(workspace.entry.name);
  }
  // Only shown: what is announced asks for nothing, even when its announcer dies.
  if (workspace.entry.record && workspace.entry.record->phase == Phase::none)
    workspace.entry.record->phase = m_store.announced(workspace.entry.id);
  return workspace;
}

/// The record of a workspace that runs now: started if need be.
Record Manager::running(const std::string& workspace, bool start_first) {
  const std::string id = m_store.resolve(workspace);
  Record record = readable(workspace, id);
  State state = State::stopped;
  if (record.phase != Phase::creating) {
    const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(id).string()};
    try {
      state = runtime_for(record).inspect(ref, record.spec, timeout(timeouts::inspect)).state;
    } catch (const NotFound&) {
      state = State::gone;
    }
  }
  if (state == State::running || state == State::paused) {
    // It still has what it has: what cannot be done there tells itself, and this tells why.
    if (are_gone(record.spec.source_path) && m_context.warning) m_context.warning(gone_sources(record.name, record.spec.source_path));
    return record;
  }
  if (!start_first)
    throw Error(ErrorKind::wrong_state,
                "workspace '" + record.name + "' is " + std::string(state == State::gone || state == State::created ? "stopped" : to_string(state)),
                "kortex-cli start " + typeable(record.name));
  const bool bare = record.guarantees.isolation == Isolation::none;
  if (m_context.notice) m_context.notice("starting '" + record.name + (bare ? "', which is not isolated" : "'"));
  return start(id);
}

ExecEnd Manager::terminal(const std::string& workspace, ExecRequest request, bool start_first) {
  require_program(request);
  const Record record = running(workspace, start_first);
  if (!request.argv.empty()) request.env = merged(agent_environment(record.spec), request.env);
  const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()};
  return runtime_for(record).terminal(ref, record.spec, request);
}

ExecEnd Manager::exec(const std::string& workspace, ExecRequest request, bool start_first) {
  require_program(request);
  const Record record = running(workspace, start_first);
  request.env = merged(agent_environment(record.spec), request.env);
  const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()};
  return runtime_for(record).exec(ref, record.spec, request);
}

void Manager::logs(const std::string& workspace, std::int64_t tail, bool follow,
                   const std::function<void(int stream, std::string_view)>& output) {
  const Record record = readable(workspace, m_store.resolve(workspace));
  const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()};
  runtime_for(record).logs(ref, record.spec, tail, follow, output);
}

ExecEnd Manager::wait(const std::string& workspace) {
  const Record record = readable(workspace, m_store.resolve(workspace));
  const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()};
  return runtime_for(record).wait(ref, record.spec, m_context.timeout);
}

}  // namespace kortex::host
