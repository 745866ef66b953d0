#include "cli/runtime_states.hpp"

#include <algorithm>

#include "cli/output/text.hpp"

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

Error no_runtime_named(Invocation& invocation, const std::string& sources) {
  const std::vector<RuntimeState> states = probe_runtimes(invocation);
  std::size_t width = 0;
  for (const RuntimeState& state : states) width = std::max(width, display_width(printable(state.file.name)));
  std::string detail, choice;
  bool choice_pretends = false;
  for (const RuntimeState& state : states) {
    const std::string name = printable(state.file.name);
    if (!detail.empty()) detail += '\n';
    detail += name + std::string(width + 2 - display_width(name), ' ') + state.text();
    const bool pretends = state.file.descriptor && state.file.descriptor->test;
    if (state.usable() && (choice.empty() || (!pretends && choice_pretends))) {
      choice = state.file.name;
      choice_pretends = pretends;
    }
  }
  const std::string what = "cannot register " + in_quotes(sources) + ": no runtime is named";
  if (states.empty()) {
    const Registry registry = invocation.registry();
    for (const SearchDirectory& directory : registry.path())
      detail += (detail.empty() ? "looked in " : "\n          ") + directory.path.string();
    return Error(ErrorKind::usage, what + ", and none is installed", "install a package kortex-runtime-NAME", detail);
  }
  if (choice.empty()) {
    const std::string& name = states.front().file.name;
    return Error(ErrorKind::usage, what + ", and none is usable", "kortex-cli runtime info " + shell_word(name), detail);
  }
  return Error(ErrorKind::usage, what, "kortex-cli init --runtime " + shell_word(choice) + ' ' + shell_word(sources), detail);
}

}  // namespace kortex::host
