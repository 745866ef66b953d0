#include "cli/answers.hpp"
#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const Record record = manager.rename(invocation.argument(0), invocation.argument(1));
  answer_with(invocation, record.id, record.name);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
    {.name = "NAME", .help = "the new name"},
};
constexpr Example examples[] = {{"kortex-cli rename api api-old", ""}};

}  // namespace

extern const Command workspace_rename_command;
constinit const Command workspace_rename_command = {
    .noun = "workspace",
    .verb = "rename",
    .summary = "give a workspace another name",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
