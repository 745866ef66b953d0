#include "cli/help.hpp"

#include "cli/invocation.hpp"
#include "cli/parse.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  if (invocation.arguments().empty()) {
    invocation.out() << overview();
    return 0;
  }
  // The words are read as if they were typed with --help, so that a wrong one gets the same answer.
  std::vector<std::string> words = invocation.arguments();
  words.emplace_back("--help");
  const Request request = parse(words);
  const Noun* noun = find_noun(request.noun);
  invocation.out() << (request.command != nullptr ? help_of(*request.command) : noun != nullptr ? help_of(*noun) : overview());
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "COMMAND", .help = "what to explain (default: all commands, briefly)", .kind = Kind::command,
     .required = false, .repeatable = true},
};
constexpr Example examples[] = {
    {"kortex-cli help init", ""},
    {"kortex-cli help runtime list", ""},
};

}  // namespace

extern const Command help_command;
constinit const Command help_command = {
    .verb = "help",
    .summary = "explain a command",
    .arguments = arguments,
    .examples = examples,
    .json = false,
    .run = run,
};

}  // namespace kortex::host
