#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/workspace.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const Workspace workspace = manager.show(invocation.argument(0));
  if (invocation.json()) {
    invocation.out() << shown_as_json(workspace);
    return 0;
  }
  invocation.out() << shown_as_text(workspace, invocation.environment().now_ms());
  invocation.reporter().hint(workspace.hint);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr Example examples[] = {{"kortex-cli show api", ""}};

}  // namespace

extern const Command workspace_show_command;
constinit const Command workspace_show_command = {
    .noun = "workspace",
    .verb = "show",
    .summary = "show all about one workspace",
    .description = "Its state, what was asked for, what the runtime enforces, what of this machine the agent can reach, "
                   "and the last error.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
