#include "cli/answers.hpp"
#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/values.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  StopRequest request;
  request.kill = invocation.has("kill");
  if (const std::optional<std::string> grace = invocation.option("grace")) {
    if (request.kill)
      throw Error(ErrorKind::usage, "options '--grace' and '--kill' contradict each other", "give one of them");
    request.grace = parse_duration(*grace, "'--grace'");
  }
  Manager manager = invocation.manager();
  const Record record = manager.stop(invocation.argument(0), request);
  answer_with(invocation, record.id, record.name);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr OptionSpec options[] = {
    {.name = "grace", .value = "DURATION", .help = "from the agent's SIGTERM until everything is killed",
     .fallback = "the runtime's"},
    {.name = "kill", .help = "kill everything at once"},
};
constexpr Example examples[] = {{"kortex-cli stop --grace 30s api", ""}};

}  // namespace

extern const Command workspace_stop_command;
constinit const Command workspace_stop_command = {
    .noun = "workspace",
    .verb = "stop",
    .summary = "stop the agent and everything in its instance",
    .description = "The agent is asked to end, then the whole instance is stopped. Done already when it is stopped.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
