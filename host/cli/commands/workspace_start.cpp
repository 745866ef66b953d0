#include "cli/answers.hpp"
#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const Record record = manager.start(invocation.argument(0));
  warn_if_not_isolated(invocation, record, "the agent has");
  answer_with(invocation, record.id, record.name);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr Example examples[] = {{"kortex-cli start api", ""}};

}  // namespace

extern const Command workspace_start_command;
constinit const Command workspace_start_command = {
    .noun = "workspace",
    .verb = "start",
    .summary = "start a workspace's instance and the agent in it",
    .description = "Done already when it is running.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
