#include "cli/manual.hpp"

#include <algorithm>
#include <string_view>

#include "cli/commands.hpp"
#include "cli/product.hpp"

namespace kortex::host {
namespace {

/// Text that roff takes as it is. A hyphen is a minus, so that options can be copied.
std::string plain(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else if ((c == '.' || c == '\'') && (out.empty() || out.back() == '\n'))
      out += std::string("\\&") + c;
    else
      out += c;
  }
  return out;
}

std::string bold(std::string_view text) { return "\\fB" + plain(text) + "\\fP"; }
std::string italic(std::string_view text) { return "\\fI" + plain(text) + "\\fP"; }

std::string sentence(std::string_view text) {
  std::string out = plain(text);
  if (!out.empty() && out[0] >= 'a' && out[0] <= 'z') out[0] = static_cast<char>(out[0] - 'a' + 'A');
  if (!out.empty() && out.back() != '.') out += '.';
  return out;
}

void add_option(std::string& page, const OptionSpec& option) {
  page += ".TP\n";
  if (option.letter != 0) page += bold(std::string("-") + option.letter) + ", ";
  page += bold("--" + std::string(option.name));
  if (!option.value.empty()) page += ' ' + italic(option.value);
  page += '\n' + sentence(option.help);
  std::string choices;
  for (const std::string_view choice : option.choices) choices += (choices.empty() ? "" : ", ") + std::string(choice);
  if (!choices.empty()) page += " One of " + plain(choices) + '.';
  if (option.repeatable) page += " May be given several times.";
  if (!option.variable.empty()) page += " Without it, " + bold(option.variable) + " is taken.";
  if (!option.fallback.empty()) page += " Default: " + plain(option.fallback) + '.';
  page += '\n';
}

void add_paragraphs(std::string& page, std::string_view text) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find("\n\n"), text.size());
    page += ".PP\n" + plain(text.substr(0, end)) + '\n';
    text.remove_prefix(std::min(text.size(), end + 2));
  }
}

void add_command(std::string& page, const Command& command) {
  page += ".SS " + plain(typed_name(command)) + "\n.PP\n" + bold("kortex-cli " + typed_name(command));
  if (!command.options.empty()) page += " [" + italic("OPTION") + "...]";
  for (const ArgumentSpec& argument : command.arguments) {
    const std::string name = italic(argument.name) + (argument.repeatable ? "..." : "");
    page += ' ' + (argument.required ? name : '[' + name + ']');
  }
  if (command.program == Program::required) page += " \\-\\- " + italic("PROGRAM") + " [" + italic("ARGUMENT") + "...]";
  if (command.program == Program::optional) page += " [\\-\\- " + italic("PROGRAM") + " [" + italic("ARGUMENT") + "...]]";
  page += "\n.PP\n" + sentence(command.summary) + '\n';
  if (!command.alias.empty()) page += "Also: " + bold(command.alias) + ".\n";
  add_paragraphs(page, command.description);
  for (const ArgumentSpec& argument : command.arguments) page += ".TP\n" + italic(argument.name) + '\n' + sentence(argument.help) + '\n';
  for (const OptionSpec& option : command.options) add_option(page, option);
  if (command.examples.empty()) return;
  page += ".PP\n.nf\n";
  for (const Example& example : command.examples) page += "    " + plain(example.line) + '\n';
  page += ".fi\n";
}

struct Row {
  std::string_view left, right;
};
constexpr Row statuses[] = {
    {"0", "done"},
    {"1", "failed"},
    {"2", "wrong usage"},
    {"3", "no such workspace"},
    {"4", "no such runtime, or it is not usable here"},
    {"5", "not possible in the workspace's present state"},
    {"6", "busy, or timed out"},
    {"7", "refused: a guarantee, a permission, an invalid configuration"},
    {"125", "terminal and exec: kortex-cli itself failed; else they end as the program did, with 128+n for signal n"},
    {"130", "cancelled"},
};
constexpr Row variables[] = {
    {"KORTEX_CLI_DEFAULT_RUNTIME, KORTEX_CLI_DEFAULT_AGENT", "what init takes where no flag is given"},
    {"KORTEX_CLI_INIT_AUTO_START", "1: init starts, too"},
    {"KORTEX_CLI_STORAGE", "where workspaces are kept instead of ~/.kortex-cli"},
    {"KORTEX_CLI_RUNTIME_PATH", "further directories of runtimes, absolute, separated by colons"},
    {"NO_COLOR", "no colours"},
};
constexpr Row places[] = {
    {"~/.kortex-cli", "the workspaces"},
    {"SOURCES/.kortex/workspace.json", "a workspace's configuration"},
    {"~/.local/lib/kortex/runtimes", "your own runtimes"},
    {"/etc/kortex/runtimes.d/*.conf, ~/.config/kortex/runtimes.d/*.conf", "pins of runtimes: see 'runtime install'"},
};

void add_rows(std::string& page, std::string_view title, std::span<const Row> rows) {
  page += ".SH " + std::string(title) + '\n';
  for (const Row& row : rows) page += ".TP\n" + bold(row.left) + '\n' + sentence(row.right) + '\n';
}

}  // namespace

std::string manual_page() {
  std::string page = ".TH KORTEX\\-CLI 1 \"\" \"kortex\\-cli " + plain(product_version()) + "\"\n";
  page += ".SH NAME\nkortex\\-cli \\- run an AI agent on a folder of source code, in a runtime you choose\n";
  page += ".SH SYNOPSIS\n" + bold("kortex-cli") + ' ' + italic("COMMAND") + " [" + italic("OPTION") + "...] [" + italic("ARGUMENT") + "...]\n";
  page += ".SH DESCRIPTION\n";
  add_paragraphs(page,
                 "kortex-cli registers a folder as a workspace, starts an agent in it on a terminal of its own, in a sandbox that a "
                 "runtime makes, and lets you look in, leave, and come back.\n\n"
                 "A workspace is named by its name, its id, or at least four digits of an id's beginning. The runtime is always "
                 "named, never guessed: 'kortex-cli runtime list' shows which are installed.");
  page += ".SH COMMANDS\n";
  for (const Command* command : all_commands())
    if (!command->hidden) add_command(page, *command);
  page += ".SH OPTIONS OF EVERY COMMAND\n";
  for (const OptionSpec& option : global_options()) add_option(page, option);
  add_rows(page, "EXIT STATUS", statuses);
  add_rows(page, "ENVIRONMENT", variables);
  add_rows(page, "FILES", places);
  return page + ".SH SEE ALSO\n.BR kortex\\-runtime\\-check (1)\n";
}

}  // namespace kortex::host
