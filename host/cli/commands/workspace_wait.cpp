#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const ExecEnd end = manager.wait(invocation.argument(0));
  if (invocation.json()) {
    JsonText json;
    json.begin_object();
    if (end.code >= 0)
      json.member("exit_code", std::int64_t{end.code});
    else
      json.key("exit_code").null();
    json.end_object();
    invocation.out() << json.take();
  } else {
    invocation.out() << (end.code >= 0 ? std::to_string(end.code) : std::string("unknown")) << "\n";
  }
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "WORKSPACE", .help = "name, id, or the start of an id (at least 4 digits)", .kind = Kind::workspace},
};
constexpr Example examples[] = {{"kortex-cli wait api && notify-send done", ""}};

}  // namespace

extern const Command workspace_wait_command;
constinit const Command workspace_wait_command = {
    .noun = "workspace",
    .verb = "wait",
    .summary = "wait until the agent has ended, and print its exit status",
    .description = "At once when it is not running.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
