#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/text.hpp"
#include "cli/terminal/session.hpp"
#include "cli/values.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  const Environment& environment = invocation.environment();
  const std::string& workspace = invocation.argument(0);
  ExecRequest request;
  request.tty = environment.in_tty && environment.out_tty;
  request.detach_keys = parse_detach_keys(invocation.option("detach-keys").value_or("ctrl-p,ctrl-q"), "'--detach-keys'");
  if (invocation.program()) {
    if (invocation.program()->empty())
      throw Error(ErrorKind::usage, "'terminal' needs a program after '--'", "kortex-cli terminal " + shell_word(workspace));
    request.argv = *invocation.program();
  } else if (!request.tty) {
    throw Error(ErrorKind::usage, "cannot open a terminal on workspace " + in_quotes(workspace) + ": standard " +
                                      (environment.in_tty ? "output" : "input") + " is not a terminal",
                "kortex-cli exec " + shell_word(workspace) + " -- PROGRAM");
  }
  Manager manager = invocation.manager();
  return run_session(invocation, manager, workspace, request, !invocation.has("no-start"),
                     [&](const ExecRequest& ready, bool start_first) {
                       return manager.terminal(workspace, ready, start_first);
                     });
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr OptionSpec options[] = {
    {.name = "detach-keys", .value = "KEYS", .help = "what to type to leave the agent's session; empty: nothing does",
     .fallback = "ctrl-p,ctrl-q"},
    {.name = "no-start", .help = "fail when it is stopped, instead of starting it"},
};
constexpr Example examples[] = {
    {"kortex-cli terminal api", "the agent's own session; leave it with ctrl-p ctrl-q, it runs on"},
    {"kortex-cli terminal api -- bash", "another program beside the agent"},
};

}  // namespace

extern const Command workspace_terminal_command;
constinit const Command workspace_terminal_command = {
    .noun = "workspace",
    .verb = "terminal",
    .summary = "connect to the agent's session, or run a program on a terminal",
    .description = "The agent was started on a terminal of its own and keeps running when you leave; its recent screen is "
                   "shown when you come back. With a program after '--', that is run instead, on a terminal where "
                   "standard input and output are one. A stopped workspace is started first.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .program = Program::optional,
    .json = false,
    .passes_status = true,
    .run = run,
};

}  // namespace kortex::host
