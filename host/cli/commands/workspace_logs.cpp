#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/stream.hpp"
#include "cli/values.hpp"

#include <kortex/runtime.h>

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  const std::optional<std::string> tail = invocation.option("tail");
  const std::int64_t lines = tail ? parse_count(*tail, "'--tail'") : -1;
  const Environment& environment = invocation.environment();
  Manager manager = invocation.manager();
  Stream& out = invocation.out();
  manager.logs(invocation.argument(0), lines, invocation.has("follow"), [&](int stream, std::string_view bytes) {
    invocation.reporter().clear();
    if (stream == KORTEX_STREAM_STDERR) {
      (void)write_all(environment.err, bytes);
      return;
    }
    // At once: whoever follows is waiting for it.
    out << bytes;
    out.flush();
  });
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr OptionSpec options[] = {
    {.name = "follow", .letter = 'f', .help = "go on until the agent ends or ctrl-c is typed"},
    {.name = "tail", .value = "LINES", .help = "only this many of the last lines", .fallback = "all that is kept"},
};
constexpr Example examples[] = {{"kortex-cli logs --tail 20 -f api", ""}};

}  // namespace

extern const Command workspace_logs_command;
constinit const Command workspace_logs_command = {
    .noun = "workspace",
    .verb = "logs",
    .summary = "show what the agent wrote to its terminal",
    .description = "The bytes are as the agent wrote them, with its terminal's control sequences.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .json = false,
    .run = run,
};

}  // namespace kortex::host
