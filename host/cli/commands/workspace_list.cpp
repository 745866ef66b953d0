#include <optional>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/orphans.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/output/workspace.hpp"
#include "instances/sources.hpp"

namespace kortex::host {
namespace {

Tint tint_of(State state) {
  const std::string_view published = published_state(state);
  if (published == "running") return Tint::good;
  return published == "stopped" ? Tint::plain : Tint::bad;
}

std::string below_home(const std::string& path, const std::string& home) {
  if (home.size() < 2 || !path.starts_with(home)) return path;
  if (path.size() == home.size()) return "~";
  return path[home.size()] == '/' ? '~' + path.substr(home.size()) : path;
}

std::string shown_name(const Summary& workspace) {
  return std::string(workspace.name.empty() ? workspace.id.substr(0, 12) : workspace.name);
}

/// Where nothing is isolated, that must not be overlooked.
std::string shown_runtime(const Summary& workspace) {
  return std::string(workspace.runtime) + (workspace.isolation == to_string(Isolation::none) ? " (not isolated)" : "");
}

std::string as_table(const Workspaces& workspaces, const Environment& environment, bool colours) {
  const std::string home = home_directory(environment);
  const std::int64_t now = environment.now_ms();
  Table table({"NAME", "STATE", "RUNTIME", "AGENT", "CREATED", "SOURCES"});
  for (std::size_t i = 0; i < workspaces.stored.size(); ++i) {
    const Summary& stored = workspaces.stored[i];
    const State state = workspaces.observed[i].state;
    table.add({shown_name(stored), {state_text(state, stored.phase), tint_of(state)}, shown_runtime(stored), std::string(stored.agent),
               stored.created_ms > 0 ? time_ago(stored.created_ms, now) : std::string(),
               below_home(std::string(stored.source), home) + (are_gone(stored.source) ? " (gone)" : "")});
  }
  return table.render(colours);
}

int list_orphans(Invocation& invocation) {
  const Orphans orphans = invocation.manager().orphans();
  Reporter& reporter = invocation.reporter();
  reporter.clear();
  for (const std::string& problem : orphans.problems) reporter.warning(problem);
  if (invocation.json()) {
    invocation.out() << orphans_as_json(orphans, nullptr);
  } else if (invocation.has("quiet")) {
    for (const Orphan& orphan : orphans.found) invocation.out() << printable(orphan.instance.key) << "\n";
  } else {
    invocation.out() << orphans_as_table(orphans.found, invocation.environment().now_ms(), invocation.colours());
    if (orphans.found.empty()) reporter.notice("no runtime has anything that a workspace left behind");
    else reporter.hint("kortex-cli prune");
  }
  return 0;
}

int run(Invocation& invocation) {
  if (invocation.has("orphans")) return list_orphans(invocation);
  Stream& out = invocation.out();
  if (invocation.has("quiet") && !invocation.json()) {
    const Listing all = invocation.store().list();
    for (const Summary* workspace : all.in_order()) out << printable(workspace->name.empty() ? workspace->id : workspace->name) << "\n";
    return 0;
  }
  Manager manager = invocation.manager();
  std::optional<PreparedWorkspaces> prepared;
  const Workspaces workspaces = manager.list([&](const Listing& stored) {
    if (invocation.json()) prepared.emplace(stored);
  });
  invocation.reporter().clear();
  // The same trouble of a runtime is told once, however many workspaces it has.
  std::string_view last;
  for (const Observed& seen : workspaces.observed) {
    if (seen.problem.empty()) continue;
    if (seen.problem != last) invocation.reporter().warning(seen.problem);
    last = seen.problem;
  }
  if (invocation.json()) {
    prepared->write(out, workspaces);
    return 0;
  }
  out << as_table(workspaces, invocation.environment(), invocation.colours());
  if (workspaces.stored.empty()) invocation.reporter().notice("no workspaces; 'kortex-cli init --runtime NAME' makes one");
  return 0;
}

constexpr OptionSpec options[] = {
    {.name = "quiet", .letter = 'q', .help = "names only, without asking any runtime"},
    {.name = "orphans", .help = "instances that no workspace owns any more, instead of workspaces"},
};
constexpr Example examples[] = {
    {"kortex-cli list", ""},
    {"kortex-cli list -o json", "for programs"},
    {"kortex-cli list --orphans", "what 'kortex-cli prune' would remove"},
};

}  // namespace

extern const Command workspace_list_command;
constinit const Command workspace_list_command = {
    .noun = "workspace",
    .verb = "list",
    .alias = "ls",
    .summary = "show all workspaces and their states",
    .description = "Each runtime is asked for the states at this moment. What cannot be found out is shown as 'unknown', "
                   "with the reason on standard error; that is no failure of the list.",
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
