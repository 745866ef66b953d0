#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/runtime_states.hpp"

namespace kortex::host {
namespace {

std::string as_json(const std::vector<PluginFile>& files) {
  JsonText json;
  json.begin_object().key("items").begin_array();
  for (const PluginFile& file : files) {
    if (!file.loadable() || file.shadowed || !file.descriptor) continue;
    json.begin_object()
        .member("name", file.name)
        .member("description", file.descriptor->summary)
        .member("local", file.descriptor->local)
        .end_object();
  }
  json.end_array().end_object();
  return json.take();
}

/// With what to do about it: whoever looks here wants to use it.
std::string shown(const RuntimeState& state) {
  const std::string hint = state.usable() || state.file.shadowed ? std::string() : state.hint();
  return state.text() + (hint.empty() ? "" : "; hint: " + hint);
}

int run(Invocation& invocation) {
  if (invocation.json()) {
    invocation.out() << as_json(invocation.registry().scan());
    return 0;
  }
  Table table({"NAME", "VERSION", "ABI", "ORIGIN", "STATE"});
  for (const RuntimeState& state : probe_runtimes(invocation)) {
    const std::optional<Descriptor>& descriptor = state.file.descriptor;
    table.add({state.file.name, descriptor ? descriptor->version : "-",
               descriptor ? std::to_string(descriptor->abi_major) + '.' + std::to_string(descriptor->abi_minor) : "-",
               state.file.origin, {shown(state), state.usable() ? Tint::good : state.file.shadowed ? Tint::faint : Tint::bad}});
  }
  invocation.out() << table.render(invocation.colours());
  if (table.empty()) {
    invocation.reporter().notice("no runtime is installed");
    invocation.reporter().hint("install a package kortex-runtime-NAME; 'kortex-cli info' shows where it is looked for");
  }
  return 0;
}

constexpr Example examples[] = {{"kortex-cli runtime list", ""}};

}  // namespace

extern const Command runtime_list_command;
constinit const Command runtime_list_command = {
    .noun = "runtime",
    .verb = "list",
    .alias = "ls",
    .summary = "show the installed runtimes and whether each is usable",
    .description = "All are asked at the same time, for five seconds at most. A file that is refused is shown with the "
                   "reason. With '--output json' only metadata is read and no runtime's code is run.",
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
