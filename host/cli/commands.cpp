/// How to add a command:
///  1. write commands/<noun>_<verb>.cpp: a function and a `Command` value;
///  2. declare the value and list it here, in the order in which help shows it;
///  3. add the file to CMakeLists.txt;
///  4. add a transcript to tests/cli.
/// Help, completion, option errors and JSON errors come from the value. The declarations are here and not in a
/// header so that a new command does not rebuild the others; the table is explicit because the linker drops
/// objects of an archive that only register themselves.
#include "cli/commands.hpp"

namespace kortex::host {

extern const Command init_command;
extern const Command workspace_list_command;
extern const Command workspace_start_command;
extern const Command workspace_stop_command;
extern const Command workspace_remove_command;
extern const Command workspace_terminal_command;
extern const Command workspace_exec_command;
extern const Command workspace_logs_command;
extern const Command workspace_show_command;
extern const Command workspace_rename_command;
extern const Command workspace_wait_command;
extern const Command workspace_prune_command;
extern const Command runtime_list_command;
extern const Command runtime_info_command;
extern const Command runtime_install_command;
extern const Command runtime_uninstall_command;
extern const Command agent_list_command;
extern const Command agent_show_command;
extern const Command info_command;
extern const Command version_command;
extern const Command completion_command;
extern const Command complete_command;
extern const Command help_command;
extern const Command manual_command;

namespace {

constexpr const Command* table[] = {
    &init_command,
    &workspace_list_command,
    &workspace_start_command,
    &workspace_stop_command,
    &workspace_remove_command,
    &workspace_terminal_command,
    &workspace_exec_command,
    &workspace_logs_command,
    &workspace_show_command,
    &workspace_rename_command,
    &workspace_wait_command,
    &workspace_prune_command,
    &runtime_list_command,
    &runtime_info_command,
    &runtime_install_command,
    &runtime_uninstall_command,
    &agent_list_command,
    &agent_show_command,
    &info_command,
    &version_command,
    &completion_command,
    &complete_command,
    &help_command,
    &manual_command,
};

constexpr Noun nouns[] = {
    {"workspace", "registered folders and their instances", true},
    {"runtime", "the installed runtimes", false},
    {"agent", "the programs that can run in an instance", false},
};

constexpr std::string_view output_choices[] = {"text", "json"};
constexpr std::string_view progress_choices[] = {"auto", "plain", "json", "none"};

constexpr OptionSpec globals[] = {
    {.name = "output", .letter = 'o', .value = "FORMAT", .help = "how to answer", .kind = Kind::choice,
     .choices = output_choices, .fallback = "text"},
    {.name = "storage", .value = "DIR", .help = "where workspaces are kept", .kind = Kind::directory,
     .fallback = "~/.kortex-cli", .variable = "KORTEX_CLI_STORAGE"},
    {.name = "runtime-path", .value = "DIR", .help = "a further directory of runtimes, searched first",
     .kind = Kind::directory, .repeatable = true, .variable = "KORTEX_CLI_RUNTIME_PATH"},
    {.name = "timeout", .value = "DURATION", .help = "give up on the runtime after this long (30s, 5m)"},
    {.name = "progress", .value = "HOW", .help = "how to show long steps on stderr", .kind = Kind::choice,
     .choices = progress_choices, .fallback = "auto"},
    {.name = "verbose", .letter = 'v', .help = "say more"},
    {.name = "help", .letter = 'h', .help = "show help"},
};

}  // namespace

std::span<const Command* const> all_commands() { return table; }
std::span<const Noun> all_nouns() { return nouns; }
std::span<const OptionSpec> global_options() { return globals; }

const Noun* find_noun(std::string_view name) {
  for (const Noun& noun : nouns)
    if (noun.name == name) return &noun;
  return nullptr;
}

const Command* find_command(std::string_view noun, std::string_view verb) {
  for (const Command* command : table) {
    if (command->verb != verb && (command->alias.empty() || command->alias != verb)) continue;
    if (command->noun == noun) return command;
    if (!noun.empty()) continue;
    const Noun* own = find_noun(command->noun);
    if (own != nullptr && own->implied) return command;
  }
  return nullptr;
}

std::string typed_name(const Command& command) {
  const Noun* noun = find_noun(command.noun);
  if (noun == nullptr || noun->implied) return std::string(command.verb);
  return std::string(command.noun) + ' ' + std::string(command.verb);
}

std::vector<std::string> verbs_of(std::string_view noun) {
  std::vector<std::string> verbs;
  for (const Command* command : table) {
    if (command->hidden) continue;
    if (command->noun == noun || (noun.empty() && find_command({}, command->verb) == command))
      verbs.emplace_back(command->verb);
  }
  if (noun.empty())
    for (const Noun& each : nouns) verbs.emplace_back(each.name);
  return verbs;
}

}  // namespace kortex::host
