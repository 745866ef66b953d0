#include "cli/answers.hpp"
#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const Manager::Removed removed = manager.remove(invocation.argument(0), invocation.has("force"));
  if (!removed.left_behind.empty()) {
    invocation.reporter().warning(removed.left_behind);
    invocation.reporter().hint("kortex-cli list --orphans");
  }
  answer_with(invocation, removed.id, removed.name);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr OptionSpec options[] = {
    {.name = "force", .letter = 'f', .help = "also when it is running, and when its runtime is missing or fails"},
};
constexpr Example examples[] = {
    {"kortex-cli remove api", ""},
    {"kortex-cli rm -f api", "stops it first, and unregisters it whatever the runtime says"},
};

}  // namespace

extern const Command workspace_remove_command;
constinit const Command workspace_remove_command = {
    .noun = "workspace",
    .verb = "remove",
    .alias = "rm",
    .summary = "remove a workspace and its instance",
    .description = "The folder of source code is never touched.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
