#include <algorithm>
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

namespace fs = std::filesystem;

/// Whether another file of that name would be used then.
bool has_another(Invocation& invocation, const std::string& name, const fs::path& file) {
  const std::vector<PluginFile> all = invocation.registry().scan();
  return std::any_of(all.begin(), all.end(),
                     [&](const PluginFile& other) { return other.name == name && other.loadable() && other.path != file; });
}

void check_unused(Invocation& invocation, const std::string& name, const fs::path& file) {
  if (invocation.has("force") || has_another(invocation, name, file)) return;
  std::vector<std::string> users;
  const Listing all = invocation.store().list();
  for (std::size_t i = 0; i < all.size(); ++i)
    if (all[i].runtime == name) users.emplace_back(all[i].name.empty() ? all[i].id : all[i].name);
  if (users.empty()) return;
  std::string list, names;
  for (const std::string& user : users) {
    list += (list.empty() ? "" : "\n") + printable(user);
    names += (names.empty() ? ": " : ", ") + in_quotes(user);
  }
  if (!invocation.json()) names.clear();  // of an error JSON has the message alone
  throw Error(ErrorKind::wrong_state,
              "cannot uninstall runtime " + in_quotes(name) + ": " +
                  (users.size() == 1 ? "workspace " + in_quotes(users.front()) + " uses it" : std::to_string(users.size()) + " workspaces use it" + names),
              "kortex-cli remove " + shell_word(users.front()), users.size() == 1 ? std::string() : list);
}

/// Where it is instead. Throws Error(no_runtime) with what there is when it is nowhere.
PluginFile other_of(Invocation& invocation, const std::string& name) {
  const Registry registry = invocation.registry();
  for (PluginFile& file : registry.scan())
    if (file.name == name) return file;
  return registry.find(name);
}

int run(Invocation& invocation) {
  const std::string& name = invocation.argument(0);
  if (name.find('/') != std::string::npos)
    throw Error(ErrorKind::usage, "no runtime " + in_quotes(name), "kortex-cli runtime list");
  const fs::path file = user_runtime_directory(invocation.environment()) / ("libkortex-runtime-" + name + ".so");
  std::error_code error;
  if (fs::symlink_status(file, error).type() != fs::file_type::not_found) check_unused(invocation, name, file);
  if (!fs::remove(file, error)) {
    if (error) throw Error(ErrorKind::failed, "cannot remove " + in_quotes(file.string()) + ": " + reason_of(error.value()));
    const PluginFile other = other_of(invocation, name);
    throw Error(ErrorKind::no_runtime, "cannot uninstall runtime " + in_quotes(name) + ": it is not in your own directory but " + in_quotes(other.path.string()),
                "remove the package that it came with: kortex-runtime-" + name);
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
constexpr OptionSpec options[] = {
    {.name = "force", .letter = 'f', .help = "also when workspaces use it"},
};
constexpr Example examples[] = {{"kortex-cli runtime uninstall echo", ""}};

}  // namespace

extern const Command runtime_uninstall_command;
constinit const Command runtime_uninstall_command = {
    .noun = "runtime",
    .verb = "uninstall",
    .summary = "remove a runtime from your own directory of runtimes",
    .description = "Where workspaces use it, it names them and changes nothing without '--force'. They would stay registered then, "
                   "and can be removed with 'remove --force'.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
