#include "cli/help.hpp"

#include <algorithm>
#include <utility>
#include <vector>

#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

using Rows = std::vector<std::pair<std::string, std::string>>;

/// Two columns; the second is wrapped.
std::string columns(const Rows& rows, std::size_t most = 30) {
  std::size_t width = 0;
  for (const auto& row : rows)
    if (row.first.size() <= most) width = std::max(width, row.first.size());
  std::string result;
  const std::size_t indent = width + 4;
  for (const auto& [left, right] : rows) {
    std::string block = wrapped(right, indent);
    if (block.empty()) block = "\n";
    if (left.size() <= width)
      block.replace(0, std::min(indent, block.size() - 1), "  " + left + std::string(indent - 2 - left.size(), ' '));
    else
      block.insert(0, "  " + left + '\n');
    result += block;
  }
  return result;
}

std::string spelled(const OptionSpec& option) {
  std::string text = option.letter != 0 ? std::string("-") + option.letter + ", " : std::string("    ");
  text += "--" + std::string(option.name);
  if (!option.value.empty()) text += ' ' + std::string(option.value);
  return text;
}

std::string explained(const OptionSpec& option) {
  std::string text(option.help);
  if (!option.choices.empty()) {
    std::string all;
    for (std::string_view choice : option.choices) all += (all.empty() ? "" : ", ") + std::string(choice);
    text += ": " + all;
  }
  std::string more;
  const auto add = [&](const std::string& part) { more += (more.empty() ? "" : "; ") + part; };
  if (option.repeatable) add("repeatable");
  if (!option.variable.empty()) add("else " + std::string(option.variable));
  if (!option.fallback.empty()) add("default: " + std::string(option.fallback));
  return more.empty() ? text : text + " (" + more + ')';
}

Rows rows_of(std::span<const OptionSpec> options) {
  Rows rows;
  for (const OptionSpec& option : options) rows.emplace_back(spelled(option), explained(option));
  return rows;
}

std::string usage_of(const Command& command) {
  std::string line = "usage: kortex-cli " + typed_name(command);
  if (!command.options.empty()) line += " [OPTION...]";
  for (const ArgumentSpec& argument : command.arguments) {
    std::string name(argument.name);
    if (argument.repeatable) name += "...";
    line += ' ' + (argument.required ? name : '[' + name + ']');
  }
  if (command.program == Program::required) line += " -- PROGRAM [ARGUMENT...]";
  if (command.program == Program::optional) line += " [-- PROGRAM [ARGUMENT...]]";
  return line + '\n';
}

std::string sentence(std::string_view text) {
  std::string result(text);
  if (!result.empty() && result[0] >= 'a' && result[0] <= 'z') result[0] = static_cast<char>(result[0] - 'a' + 'A');
  return result + '.';
}

constexpr std::string_view statuses =
    "0 done, 1 failed, 2 wrong usage, 3 no such workspace, 4 no such runtime or not usable, 5 not possible in "
    "this state, 6 busy or timed out, 7 refused (guarantee, permission, configuration), 130 cancelled";
constexpr std::string_view passed_statuses =
    "that of the program; 128+n when signal n ended it; 125 when kortex-cli itself failed; 2 wrong usage";

void add_commands(Rows& rows, std::string_view noun) {
  for (const Command* command : all_commands())
    if (!command->hidden && command->noun == noun) rows.emplace_back(typed_name(*command), command->summary);
}

}  // namespace

std::string overview() {
  std::string text = "kortex-cli runs an AI agent on a folder of source code, in a runtime you choose.\n\n";
  text += "usage: kortex-cli COMMAND [OPTION...] [ARGUMENT...]\n";
  Rows workspaces, runtimes, others;
  for (const Command* command : all_commands()) {
    if (command->hidden) continue;
    Rows& rows = command->verb == "init" || command->noun == "workspace" ? workspaces
                 : command->noun.empty()                                 ? others
                                                                         : runtimes;
    rows.emplace_back(typed_name(*command), command->summary);
  }
  std::size_t width = 0;
  for (const Rows* rows : {&workspaces, &runtimes, &others})
    for (const auto& row : *rows) width = std::max(width, row.first.size());
  for (Rows* rows : {&workspaces, &runtimes, &others}) rows->front().first.resize(width, ' ');
  text += "\nworkspaces:\n" + columns(workspaces);
  text += "\nruntimes and agents:\n" + columns(runtimes);
  text += "\nothers:\n" + columns(others);
  text += "\noptions of every command:\n" + columns(rows_of(global_options()));
  text += "\nexit status:\n" + wrapped(statuses, 2) + wrapped("'terminal' and 'exec': " + std::string(passed_statuses), 2);
  text += "\nto begin:\n  kortex-cli runtime list\n  kortex-cli init --runtime NAME .\n";
  return text;
}

std::string help_of(const Noun& noun) {
  std::string text = "usage: kortex-cli " + (noun.implied ? '[' + std::string(noun.name) + ']' : std::string(noun.name)) +
                     " COMMAND [OPTION...] [ARGUMENT...]\n\n" + sentence(noun.summary) + "\n\ncommands:\n";
  Rows rows;
  add_commands(rows, noun.name);
  return text + columns(rows);
}

std::string help_of(const Command& command) {
  std::string text = usage_of(command) + '\n' + wrapped(sentence(command.summary), 0);
  if (!command.description.empty()) text += '\n' + wrapped(command.description, 0);
  if (!command.alias.empty()) text += "\nalso: " + std::string(command.alias) + '\n';
  if (!command.arguments.empty()) {
    Rows rows;
    for (const ArgumentSpec& argument : command.arguments) rows.emplace_back(argument.name, argument.help);
    text += "\narguments:\n" + columns(rows);
  }
  if (!command.options.empty()) text += "\noptions:\n" + columns(rows_of(command.options));
  text += "\noptions of every command:\n" + columns(rows_of(global_options()));
  if (!command.examples.empty()) {
    text += "\nexamples:\n";
    for (const Example& example : command.examples)
      text += "  " + std::string(example.line) + '\n' + wrapped(example.meaning, 6);
  }
  return text + "\nexit status:\n" + wrapped(command.passes_status ? passed_statuses : statuses, 2);
}

}  // namespace kortex::host
