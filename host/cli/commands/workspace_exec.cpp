#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/text.hpp"
#include "cli/terminal/session.hpp"

namespace kortex::host {
namespace {

std::vector<std::string> environment_of(const Invocation& invocation) {
  std::vector<std::string> variables = invocation.options("env");
  for (std::string& variable : variables) {
    const std::size_t equals = variable.find('=');
    if (variable.empty() || equals == 0)
      throw Error(ErrorKind::usage, "'--env' cannot be " + in_quotes(variable), "--env NAME=VALUE, or --env NAME to pass yours on");
    if (equals != std::string::npos) continue;
    const std::optional<std::string> value = invocation.environment().getenv(variable);
    if (!value)
      throw Error(ErrorKind::usage, "cannot pass on " + in_quotes(variable) + ": it is not set", "--env " + shell_word(variable) + "=VALUE");
    variable += '=' + *value;
  }
  return variables;
}

int run(Invocation& invocation) {
  const std::string& workspace = invocation.argument(0);
  ExecRequest request;
  request.argv = *invocation.program();
  request.env = environment_of(invocation);
  request.cwd = invocation.option("workdir").value_or(std::string());
  request.tty = invocation.has("tty");
  if (request.tty && !invocation.environment().in_tty)
    throw Error(ErrorKind::usage, "cannot give the program a terminal: standard input is none", "leave out '--tty'");
  Manager manager = invocation.manager();
  return run_session(invocation, manager, workspace, request, !invocation.has("no-start"),
                     [&](const ExecRequest& ready, bool start_first) {
                       return manager.exec(workspace, ready, start_first);
                     });
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr OptionSpec options[] = {
    {.name = "tty", .letter = 't', .help = "give the program your terminal"},
    {.name = "workdir", .letter = 'w', .value = "DIR", .help = "where to run it", .fallback = "the sources"},
    {.name = "env", .letter = 'e', .value = "NAME[=VALUE]", .help = "set a variable, or pass yours on", .repeatable = true},
    {.name = "no-start", .help = "fail when it is stopped, instead of starting it"},
};
constexpr Example examples[] = {
    {"kortex-cli exec api -- git status", ""},
    {"kortex-cli exec api -- tar c . > backup.tar", "bytes are bytes, the end of input is passed on"},
};

}  // namespace

extern const Command workspace_exec_command;
constinit const Command workspace_exec_command = {
    .noun = "workspace",
    .verb = "exec",
    .summary = "run a program in a workspace's instance",
    .description = "Without '--tty' the program has your standard input, output and error as clean pipes. A stopped "
                   "workspace is started first.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .program = Program::required,
    .json = false,
    .passes_status = true,
    .run = run,
};

}  // namespace kortex::host
