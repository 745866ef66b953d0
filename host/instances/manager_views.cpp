// What asks and does not change: live state, and programs, logs and waits, during which no claim is held so that
// others may stop the workspace meanwhile.
#include <algorithm>
#include <map>

#include "instances/manager.hpp"
#include "instances/names.hpp"
#include "instances/timeouts.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

/// Why a workspace is between two states: somebody is at work, or died at it.
void explain_phase(Workspace& workspace, const Store& store) {
  const Record& record = *workspace.entry.record;
  if (record.phase == Phase::none) return;
  const bool claimed = store.is_claimed(record.id);
  if (record.phase == Phase::creating && workspace.state == State::gone) {
    workspace.state = State::stopped;
    workspace.problem.clear();
    workspace.hint.clear();
  }
  if (claimed || !workspace.problem.empty()) return;
  const std::string again = record.phase == Phase::removing ? "remove" : record.phase == Phase::stopping ? "stop" : "start";
  workspace.problem = "workspace '" + record.name + "': a kortex-cli was interrupted while " + std::string(to_string(record.phase)) + " it";
  workspace.hint = "kortex-cli " + again + " " + typeable(record.name);
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

std::vector<Workspace> Manager::observe(std::vector<Entry> entries) const {
  std::vector<Workspace> workspaces(entries.size());
  std::vector<Query> queries;
  std::vector<std::vector<std::size_t>> asked;  // for each query, whom its answers are about
  std::map<std::pair<std::string, KeyValues>, std::size_t> index;
  struct Found {
    std::optional<PluginFile> file;
    std::string problem, hint;
  };
  std::map<std::string, Found> found;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    Workspace& workspace = workspaces[i];
    workspace.entry = std::move(entries[i]);
    if (!workspace.entry.record) {
      workspace.problem = workspace.entry.problem;
      workspace.hint = "kortex-cli remove --force " + typeable(workspace.entry.name.empty() ? workspace.entry.id.substr(0, 12) : workspace.entry.name);
      continue;
    }
    const Record& record = *workspace.entry.record;
    auto known = found.find(record.runtime);
    if (known == found.end()) {
      Found result;
      try {
        result.file = m_registry.find(record.runtime);
      } catch (const Error& error) {
        result.problem = error.message();
        result.hint = error.hint();
      }
      known = found.emplace(record.runtime, std::move(result)).first;
    }
    if (!known->second.file) {
      workspace.problem = known->second.problem;
      workspace.hint = known->second.hint;
      continue;
    }
    const auto [place, added] = index.try_emplace({record.runtime, record.spec.global_options}, queries.size());
    if (added) {
      queries.push_back({*known->second.file, m_context.runtime_context(record.runtime), record.spec.global_options, {}});
      asked.emplace_back();
    }
    queries[place->second].refs.push_back({record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()});
    asked[place->second].push_back(i);
  }
  if (queries.empty()) return workspaces;

  std::vector<QueryResult> answers = query(std::move(queries), timeout(timeouts::inspect));
  for (std::size_t q = 0; q < answers.size() && q < asked.size(); ++q)
    for (std::size_t n = 0; n < asked[q].size(); ++n) {
      Workspace& workspace = workspaces[asked[q][n]];
      if (n < answers[q].instances.size()) workspace.instance = std::move(answers[q].instances[n]);
      workspace.state = workspace.instance.state;
      if (workspace.state == State::unknown && answers[q].error) {
        workspace.problem = answers[q].error->message();
        workspace.hint = answers[q].error->hint();
      } else if (workspace.state == State::gone) {
        workspace.problem = "workspace '" + workspace.entry.name + "': its instance is gone";
        workspace.hint = "kortex-cli start " + typeable(workspace.entry.name);
      }
    }
  for (auto& workspace : workspaces)
    if (workspace.entry.record) explain_phase(workspace, m_store);
  return workspaces;
}

std::vector<Workspace> Manager::list() { return observe(m_store.list()); }

Workspace Manager::show(const std::string& workspace) {
  std::vector<Entry> one;
  one.push_back(m_store.read(m_store.resolve(workspace)));
  return std::move(observe(std::move(one)).front());
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
  if (state == State::running || state == State::paused) return record;
  if (!start_first)
    throw Error(ErrorKind::wrong_state,
                "workspace '" + record.name + "' is " + std::string(state == State::gone || state == State::created ? "stopped" : to_string(state)),
                "kortex-cli start " + typeable(record.name));
  if (m_context.notice) m_context.notice("starting '" + record.name + "'");
  return start(id);
}

ExecEnd Manager::terminal(const std::string& workspace, ExecRequest request, bool start_first) {
  const Record record = running(workspace, start_first);
  if (!request.argv.empty()) request.env = merged(agent_environment(record.spec), request.env);
  const InstanceRef ref{record.key, record.instance_id, record.name, m_store.instance_directory(record.id).string()};
  return runtime_for(record).terminal(ref, record.spec, request);
}

ExecEnd Manager::exec(const std::string& workspace, ExecRequest request, bool start_first) {
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
