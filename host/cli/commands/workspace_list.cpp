#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/output/workspace.hpp"

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

std::string as_json(const std::vector<Workspace>& workspaces) {
  JsonText json;
  json.begin_object().key("items").begin_array();
  for (const Workspace& workspace : workspaces) add_workspace(json, workspace);
  json.end_array().end_object();
  return json.take();
}

std::string as_table(const std::vector<Workspace>& workspaces, const Environment& environment, bool colours) {
  const std::string home = home_directory(environment);
  const std::int64_t now = environment.now_ms();
  Table table({"NAME", "STATE", "RUNTIME", "AGENT", "CREATED", "SOURCES"});
  static const Record unreadable;
  for (const Workspace& workspace : workspaces) {
    const Record& record = workspace.entry.record ? *workspace.entry.record : unreadable;
    const std::string name = workspace.entry.name.empty() ? workspace.entry.id.substr(0, 12) : workspace.entry.name;
    table.add({name, {state_text(workspace), tint_of(workspace.state)}, record.runtime, record.spec.agent_name,
               record.created_ms > 0 ? time_ago(record.created_ms, now) : std::string(),
               below_home(record.spec.source_path, home)});
  }
  return table.render(colours);
}

int run(Invocation& invocation) {
  Stream& out = invocation.out();
  if (invocation.has("quiet") && !invocation.json()) {
    for (const Entry& entry : invocation.store().list())
      out << printable(entry.name.empty() ? entry.id : entry.name) << "\n";
    return 0;
  }
  Manager manager = invocation.manager();
  const std::vector<Workspace> workspaces = manager.list();
  invocation.reporter().clear();
  // The same trouble of a runtime is told once, however many workspaces it has.
  std::string last;
  for (const Workspace& workspace : workspaces) {
    if (workspace.problem.empty()) continue;
    if (workspace.problem != last) invocation.reporter().warning(workspace.problem);
    last = workspace.problem;
  }
  if (invocation.json()) {
    out << as_json(workspaces);
    return 0;
  }
  out << as_table(workspaces, invocation.environment(), invocation.colours());
  if (workspaces.empty()) invocation.reporter().notice("no workspaces; 'kortex-cli init --runtime NAME' makes one");
  return 0;
}

constexpr OptionSpec options[] = {
    {.name = "quiet", .letter = 'q', .help = "names only, without asking any runtime"},
};
constexpr Example examples[] = {
    {"kortex-cli list", ""},
    {"kortex-cli list -o json", "for programs"},
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
