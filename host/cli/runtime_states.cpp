#include "cli/runtime_states.hpp"

#include <algorithm>

#include "cli/output/text.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {
namespace {

constexpr std::chrono::milliseconds probe_deadline(5000);

}  // namespace

std::string RuntimeState::text() const {
  if (!file.loadable()) return "refused: " + file.refusal;
  if (file.shadowed) return "shadowed";
  if (!probe) return "not asked";
  return probe->usable ? "usable" : "not usable: " + probe->reason;
}

std::string RuntimeState::hint() const {
  if (!file.loadable()) return file.hint;
  return probe ? probe->hint : std::string();
}

std::vector<RuntimeState> probe_runtimes(Invocation& invocation) {
  std::vector<RuntimeState> states;
  std::vector<Runtime> runtimes;
  std::vector<std::size_t> asked;
  for (PluginFile& file : invocation.registry().scan()) {
    if (file.loadable() && !file.shadowed) {
      asked.push_back(states.size());
      runtimes.emplace_back(file, invocation.runtime_context(file.name));
    }
    states.push_back({std::move(file), std::nullopt});
  }
  const std::chrono::milliseconds given = invocation.timeout();
  std::vector<ProbeResult> results = probe_all(runtimes, given.count() > 0 ? given : probe_deadline);
  for (std::size_t i = 0; i < asked.size() && i < results.size(); ++i) states[asked[i]].probe = std::move(results[i]);
  return states;
}

namespace {

/// What there is, a line each, and which of it to propose: what runs something rather than what only pretends.
struct Choice {
  std::string list, proposed;
};

Choice choice_of(const std::vector<RuntimeState>& states) {
  Choice choice;
  std::size_t width = 0;
  for (const RuntimeState& state : states) width = std::max(width, display_width(printable(state.file.name)));
  bool pretended = false;
  for (const RuntimeState& state : states) {
    const std::string name = printable(state.file.name);
    if (!choice.list.empty()) choice.list += '\n';
    choice.list += name + std::string(width + 2 - display_width(name), ' ') + state.text();
    const bool pretends = state.file.descriptor && state.file.descriptor->test;
    if (state.usable() && (choice.proposed.empty() || (!pretends && pretended))) {
      choice.proposed = state.file.name;
      pretended = pretends;
    }
  }
  return choice;
}

/// `what` went wrong, what there is, and what to type. `meant`: what is proposed, if it is known already.
Error explained(Invocation& invocation, ErrorKind kind, const std::string& what, const std::vector<RuntimeState>& states, const std::string& sources,
                const std::string& meant = {}) {
  if (states.empty()) {
    std::string detail;
    const Registry registry = invocation.registry();
    for (const SearchDirectory& directory : registry.path())
      detail += (detail.empty() ? "looked in " : "\n          ") + directory.path.string();
    return Error(kind, what + ", and none is installed", "install a package kortex-runtime-NAME", detail);
  }
  const Choice choice = choice_of(states);
  const std::string& proposed = meant.empty() ? choice.proposed : meant;
  if (proposed.empty())
    return Error(kind, what + ", and none is usable", "kortex-cli runtime info " + shell_word(states.front().file.name), choice.list);
  return Error(kind, what, "kortex-cli init --runtime " + shell_word(proposed) + ' ' + shell_word(sources), choice.list);
}

}  // namespace

Error no_runtime_named(Invocation& invocation, const std::string& sources) {
  return explained(invocation, ErrorKind::usage, "cannot register " + in_quotes(sources) + ": no runtime is named", probe_runtimes(invocation), sources);
}

std::optional<Error> no_such_runtime(Invocation& invocation, const std::string& name, const std::string& sources) {
  std::vector<std::string> installed;
  for (const PluginFile& file : invocation.registry().scan()) {
    if (file.name == name) return std::nullopt;
    if (file.loadable() && !file.shadowed) installed.push_back(file.name);
  }
  const std::vector<std::string> close = nearest(name, installed);
  return explained(invocation, ErrorKind::no_runtime, "no runtime " + in_quotes(name), probe_runtimes(invocation), sources,
                   close.empty() ? std::string() : close.front());
}

}  // namespace kortex::host
