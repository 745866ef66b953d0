#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  const std::string& name = invocation.argument(0);
  if (name.find('/') != std::string::npos)
    throw Error(ErrorKind::usage, "no runtime " + in_quotes(name), "kortex-cli runtime list");
  const std::filesystem::path file =
      user_runtime_directory(invocation.environment()) / ("libkortex-runtime-" + name + ".so");
  std::error_code error;
  if (!std::filesystem::remove(file, error)) {
    if (error) throw Error(ErrorKind::failed, "cannot remove " + in_quotes(file.string()) + ": " + reason_of(error.value()));
    throw Error(ErrorKind::no_runtime, "no runtime " + in_quotes(name) + " of your own: there is no " + in_quotes(file.string()),
                "'kortex-cli runtime info " + shell_word(name) + "' shows where it is");
  }
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("name", name).end_object();
    invocation.out() << json.take();
  } else {
    invocation.out() << printable(name) << "\n";
  }
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "RUNTIME", .help = "its name", .kind = Kind::runtime},
};
constexpr Example examples[] = {{"kortex-cli runtime uninstall echo", ""}};

}  // namespace

extern const Command runtime_uninstall_command;
constinit const Command runtime_uninstall_command = {
    .noun = "runtime",
    .verb = "uninstall",
    .summary = "remove a runtime from your own directory of runtimes",
    .description = "Workspaces that use it stay registered, and can be removed with 'remove --force'.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
