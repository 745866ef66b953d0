#include "instances/observation.hpp"

#include <algorithm>

#include "instances/names.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

/// Not only when it was read: whoever was at work then may be done by now, and have let go of it.
bool is_still_in(Phase phase, const std::string& id, const Store& store) {
  try {
    const Entry now = store.read(id);
    return now.record && now.record->phase == phase && !store.is_claimed(id);
  } catch (const Error&) {
    return false;  // it has been removed
  }
}

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
  if (claimed || !seen.problem.empty() || !is_still_in(workspace.phase, std::string(workspace.id), store)) return;
  const std::string name(workspace.name);
  const std::string again = workspace.phase == Phase::removing ? "remove" : workspace.phase == Phase::stopping ? "stop" : "start";
  seen.problem = "workspace '" + name + "': a kortex-cli was interrupted while " + std::string(to_string(workspace.phase)) + " it";
  seen.hint = "kortex-cli " + again + " " + typeable(name);
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

void take_answers(std::vector<Observed>& seen, const std::vector<const Summary*>& workspaces, const std::vector<std::size_t>& whom, InquiryResult& answer) {
  for (std::size_t n = 0; n < whom.size(); ++n) {
    Observed& now = seen[whom[n]];
    if (n < answer.instances.size()) now.instance = std::move(answer.instances[n]);
    now.state = now.instance.state;
    if (now.state == State::unknown && answer.error) {
      now.problem = answer.error->message();
      now.hint = answer.error->hint();
    } else if (now.state == State::gone) {
      const std::string name(workspaces[whom[n]]->name);
      now.problem = "workspace '" + name + "': its instance is gone";
      now.hint = "kortex-cli start " + typeable(name);
    }
  }
}

}  // namespace

bool is_up(State state) {
  return state == State::running || state == State::starting || state == State::paused || state == State::stopping;
}

Observation::Observation(const Store& store, const Registry& registry, const ManagerContext& context, std::chrono::milliseconds timeout)
    : m_store(store), m_registry(registry), m_context(context), m_inquiry(timeout) {}

Observation::Asked& Observation::asked(const Summary& workspace) {
  const auto known = std::find_if(m_asked.begin(), m_asked.end(), [&](const Asked& each) { return each.runtime == workspace.runtime; });
  if (known != m_asked.end()) return *known;
  Asked& asked = m_asked.emplace_back(Asked{std::string(workspace.runtime), std::nullopt, {}, {}, {}});
  try {
    asked.file = m_registry.find(asked.runtime);
  } catch (const Error& error) {
    asked.problem = error.message();
    asked.hint = error.hint();
  }
  return asked;
}

Observation::Question& Observation::question(Asked& asked, const Summary& workspace) {
  const auto known = std::find_if(asked.questions.begin(), asked.questions.end(),
                                  [&](const Question& each) { return each.global_options == workspace.global_options; });
  if (known != asked.questions.end()) return *known;
  const std::size_t place = m_inquiry.begin(*asked.file, m_context.runtime_context(asked.runtime), workspace.global_options);
  return asked.questions.emplace_back(Question{workspace.global_options, place, {}, {}});
}

void Observation::expect(const Summary& workspace) {
  if (!workspace.readable) return;
  Asked& its = asked(workspace);
  if (its.file) question(its, workspace);
}

std::vector<Observed> Observation::observe(const std::vector<const Summary*>& workspaces, const std::function<void()>& meanwhile) {
  for (std::size_t i = 0; i < workspaces.size(); ++i) {
    const Summary& workspace = *workspaces[i];
    if (!workspace.readable) continue;
    Asked& its = asked(workspace);
    if (!its.file) continue;
    Question& ours = question(its, workspace);
    if (ours.whom.empty()) {
      ours.whom.reserve(workspaces.size() - i);
      ours.refs.reserve(workspaces.size() - i);
    }
    ours.refs.push_back(ref_of(workspace));
    ours.whom.push_back(i);
  }
  std::vector<std::vector<kortex_ref>> refs(m_inquiry.size());
  for (Asked& each : m_asked)
    for (Question& ours : each.questions) refs[ours.place] = std::move(ours.refs);
  std::vector<Observed> seen;
  std::vector<InquiryResult> answers = m_inquiry.finish(std::move(refs), [&] {
    seen.resize(workspaces.size());
    if (meanwhile) meanwhile();
  });
  for (const Asked& each : m_asked)
    for (const Question& ours : each.questions) take_answers(seen, workspaces, ours.whom, answers[ours.place]);
  for (std::size_t i = 0; i < workspaces.size(); ++i) {
    const Summary& workspace = *workspaces[i];
    if (!workspace.readable) {
      seen[i].problem = workspace.problem;
      seen[i].hint = way_out(seen[i].problem, std::string(workspace.name.empty() ? workspace.id.substr(0, 12) : workspace.name));
    } else if (const Asked& its = asked(workspace); !its.file) {
      seen[i].problem = its.problem;
      seen[i].hint = its.hint;
    } else {
      explain_phase(workspace, seen[i], m_store);
    }
  }
  return seen;
}

}  // namespace kortex::host
