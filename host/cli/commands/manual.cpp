#include "cli/manual.hpp"

#include "cli/command.hpp"
#include "cli/invocation.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  invocation.out() << manual_page();
  return 0;
}

}  // namespace

extern const Command manual_command;
constinit const Command manual_command = {
    .verb = "__manual",
    .summary = "print the manual page",
    .json = false,
    .hidden = true,
    .run = run,
};

}  // namespace kortex::host
