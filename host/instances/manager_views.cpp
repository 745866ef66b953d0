// What asks and does not change: live state, and programs, logs and waits, during which no claim is held so that
// others may stop the workspace meanwhile.
#include <algorithm>
#include <optional>

#include "instances/manager.hpp"
#include "instances/names.hpp"
#include "instances/timeouts.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

/// Why a workspace is between two states: somebody is at work, or died at it.
void explain_phase(const Summary& workspace, Observed& seen, const Store& store) {
  if (workspace.phase == Phase::none) return;
  const bool claimed = store.is_claimed(std::string(workspace.id));
  if (seen.state == State::gone && (workspace.phase == Phase::creating || workspace.phase == Phase::removing)) {
    // No surprise: it was not there yet, or not any more.
    if (workspace.phase == Phase::creating) seen.state = State::stopped;
    seen.problem.clear();
    seen.hint.clear();
  }
  if (claimed || !seen.problem.empty()) return;
  const std::string name(workspace.name);
  const std::string again = workspace.phase == Phase::removing ? "remove" : workspace.phase == Phase::stopping ? "stop" : "start";
  seen.problem = "workspace '" + name + "': a kortex-cli was interrupted while " + std::string(to_string(workspace.phase)) + " it";
  seen.hint = "kortex-cli " + again + " " + typeable(name);
}

void require_program(const ExecRequest& request) {
  if (!request.argv.empty() && request.argv.front().empty()) throw Error(ErrorKind::usage, "the program's name must not be empty");
}

kortex_ref ref_of(const Summary& workspace) {
  kortex_ref ref{};
  ref.struct_size = sizeof ref;
  ref.key = workspace.key.data();
  ref.id = workspace.instance_id.empty() ? nullptr : workspace.instance_id.data();
  ref.name = workspace.name.data();
  ref.state_dir = workspace.state_dir.data();
  return ref;
}

/// Mostly the very same text: see read_summary().
bool is_same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && (a.data() == b.data() || a == b);
}

/// A runtime of some workspaces, looked for once, and the queries to it: one for each set of global options.
struct Asked {
  std::string_view runtime;
  std::optional<PluginFile> file;
  std::string problem, hint;
  std::vector<std::size_t> queries;
};

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

std::vector<Observed> Manager::observe(const std::vector<const Summary*>& workspaces) const {
  std::vector<Observed> seen(workspaces.size());
  std::vector<Query> queries;
  std::vector<std::vector<std::size_t>> asked;  // for each query, whom its answers are about
  std::vector<Asked> runtimes;                  // few: looking through them is faster than any map
  for (std::size_t i = 0; i < workspaces.size(); ++i) {
    const Summary& workspace = *workspaces[i];
    if (!workspace.readable) {
      seen[i].problem = workspace.problem;
      seen[i].hint = way_out(seen[i].problem, std::string(workspace.name.empty() ? workspace.id.substr(0, 12) : workspace.name));
      continue;
    }
    auto runtime = std::find_if(runtimes.begin(), runtimes.end(), [&](const Asked& known) { return is_same(known.runtime, workspace.runtime); });
    if (runtime == runtimes.end()) {
      runtime = runtimes.insert(runtimes.end(), {workspace.runtime, std::nullopt, {}, {}, {}});
      try {
        runtime->file = m_registry.find(std::string(workspace.runtime));
      } catch (const Error& error) {
        runtime->problem = error.message();
        runtime->hint = error.hint();
      }
    }
    if (!runtime->file) {
      seen[i].problem = runtime->problem;
      seen[i].hint = runtime->hint;
      continue;
    }
    auto query = std::find_if(runtime->queries.begin(), runtime->queries.end(),
                              [&](std::size_t known) { return queries[known].global_options == workspace.global_options; });
    if (query == runtime->queries.end()) {
      query = runtime->queries.insert(query, queries.size());
      queries.push_back({*runtime->file, m_context.runtime_context(std::string(workspace.runtime)), workspace.global_options, {}});
      queries.back().refs.reserve(workspaces.size() - i);
      asked.emplace_back().reserve(workspaces.size() - i);
    }
    queries[*query].refs.push_back(ref_of(workspace));
    asked[*query].push_back(i);
  }
  if (queries.empty()) return seen;

  std::vector<QueryResult> answers = query(std::move(queries), timeout(timeouts::inspect));
  for (std::size_t q = 0; q < answers.size() && q < asked.size(); ++q)
    for (std::size_t n = 0; n < asked[q].size(); ++n) {
      const Summary& workspace = *workspaces[asked[q][n]];
      Observed& now = seen[asked[q][n]];
      if (n < answers[q].instances.size()) now.instance = std::move(answers[q].instances[n]);
      now.state = now.instance.state;
      if (now.state == State::unknown && answers[q].error) {
        now.problem = answers[q].error->message();
        now.hint = answers[q].error->hint();
      } else if (now.state == State::gone) {
        const std::string name(workspace.name);
        now.problem = "workspace '" + name + "': its instance is gone";
        now.hint = "kortex-cli start " + typeable(name);
      }
    }
  for (std::size_t i = 0; i < workspaces.size(); ++i)
    if (workspaces[i]->readable) explain_phase(*workspaces[i], seen[i], m_store);
  return seen;
}

Workspaces Manager::list() {
  Workspaces workspaces{m_store.list(), {}};
  workspaces.observed = observe(workspaces.stored.in_order());
  return workspaces;
}

Workspace Manager::show(const std::string& given) {
  Workspace workspace;
  workspace.entry = m_store.read(m_store.resolve(given));
  Summary summary = summary_of(workspace.entry);
  const std::string state_dir = m_store.instance_directory(workspace.entry.id).string();
  summary.state_dir = state_dir;
  static_cast<Observed&>(workspace) = std::move(observe({&summary}).front());
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
  if (state == State::running || state == State::paused) return record;
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
