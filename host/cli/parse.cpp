#include "cli/parse.hpp"

#include <algorithm>
#include <boost/program_options/cmdline.hpp>
#include <boost/program_options/errors.hpp>
#include <boost/program_options/options_description.hpp>
#include <boost/program_options/parsers.hpp>

#include "cli/commands.hpp"
#include "cli/output/text.hpp"
#include "system/error.hpp"
#include "system/suggestions.hpp"

namespace po = boost::program_options;

namespace kortex::host {
namespace {

using Words = std::vector<std::string>;

const OptionSpec* find_option(std::span<const OptionSpec> options, std::string_view name) {
  for (const OptionSpec& option : options)
    if (option.name == name) return &option;
  return nullptr;
}

const OptionSpec* find_option(const Command* command, std::string_view name) {
  const OptionSpec* own = command != nullptr ? find_option(command->options, name) : nullptr;
  return own != nullptr ? own : find_option(global_options(), name);
}

/// The global option that `word` is, and whether its value is the next word.
struct GlobalWord {
  const OptionSpec* option = nullptr;
  bool takes_next = false;
};
GlobalWord global_word(const std::string& word) {
  for (const OptionSpec& option : global_options()) {
    const std::string spelled = "--" + std::string(option.name);
    if (word == spelled) return {&option, !option.value.empty()};
    if (word.compare(0, spelled.size() + 1, spelled + '=') == 0) return {&option, false};
    if (option.letter != 0 && word.size() >= 2 && word[1] == option.letter)
      return {&option, !option.value.empty() && word.size() == 2};
  }
  return {};
}

/// Where the words of the command's name are.
struct Located {
  const Command* command = nullptr;
  const Noun* noun = nullptr;
  std::string unknown;            ///< a word that should have been a command's name
  std::string misplaced;          ///< an option before the command's name that is not global
  std::string unvalued;           ///< the last word, a global option whose value is missing
  std::vector<std::size_t> used;  ///< indices to leave out afterwards
};
Located locate(const Words& words) {
  Located found;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word.size() > 1 && word[0] == '-') {
      if (word == "--version") continue;
      const GlobalWord global = global_word(word);
      if (global.option == nullptr) {
        found.misplaced = word;
        return found;
      }
      if (global.takes_next && ++i == words.size()) found.unvalued = word;
      continue;
    }
    found.used.push_back(i);
    if (found.noun == nullptr) {
      found.noun = find_noun(word);
      if (found.noun != nullptr) continue;
    }
    found.command = find_command(found.noun != nullptr ? found.noun->name : std::string_view(), word);
    if (found.command == nullptr) found.unknown = word;
    return found;
  }
  return found;
}

std::string help_command_for(const Command* command) {
  return command == nullptr ? "kortex-cli help" : "kortex-cli " + typed_name(*command) + " --help";
}

[[noreturn]] void throw_unknown_command(const Located& found) {
  const std::string_view noun = found.noun != nullptr ? found.noun->name : std::string_view();
  const std::string before = noun.empty() ? std::string() : std::string(noun) + ' ';
  std::vector<std::string> names = verbs_of(noun);
  for (const Command* command : all_commands())
    if (!command->alias.empty() && find_command(noun, command->alias) == command)
      names.emplace_back(command->alias);
  const std::vector<std::string> close = nearest(found.unknown, names);
  const std::string all = noun.empty() ? "kortex-cli help" : "kortex-cli help " + std::string(noun);
  throw Error(ErrorKind::usage, "no command " + in_quotes(before + found.unknown),
              close.empty() ? in_quotes(all) + " shows all commands"
                            : "did you mean 'kortex-cli " + before + close.front() + "'? " + in_quotes(all) + " shows all");
}

/// What to type instead when the program was given without `--`.
std::string with_separator(const Command& command, const Words& arguments) {
  std::string line = "kortex-cli " + typed_name(command) + ' ' + shell_word(arguments.front()) + " --";
  for (std::size_t i = 1; i < arguments.size(); ++i) line += ' ' + shell_word(arguments[i]);
  return line;
}

std::vector<po::option> run_parser(const Command& command, const Words& words) {
  po::options_description description;
  const auto add = [&](const OptionSpec& option) {
    std::string names(option.name);
    if (option.letter != 0) names += std::string(",") + option.letter;
    description.add(boost::shared_ptr<po::option_description>(
        new po::option_description(names.c_str(), new po::untyped_value(option.value.empty()))));
  };
  for (const OptionSpec& option : command.options) add(option);
  for (const OptionSpec& option : global_options())
    if (find_option(command.options, option.name) == nullptr) add(option);

  namespace style = po::command_line_style;
  const int how = style::unix_style & ~style::allow_guessing;
  const auto needs_value = [&](const std::string& given) {
    return Error(ErrorKind::usage, "option " + in_quotes(given) + " needs a value", help_command_for(&command));
  };
  try {
    return po::command_line_parser(words).options(description).style(how).run().options;
  } catch (const po::unknown_option& error) {
    std::string given = error.get_option_name();
    given.erase(std::min(given.find('='), given.size()));
    Words names;
    for (const OptionSpec& option : command.options) names.emplace_back(option.name);
    for (const OptionSpec& option : global_options()) names.emplace_back(option.name);
    const std::size_t dashes = given.find_first_not_of('-');
    const Words close = given.starts_with("--") && dashes != std::string::npos
                            ? nearest(given.substr(dashes), names) : Words();
    const std::string all = in_quotes(help_command_for(&command));
    std::string hint = close.empty() ? all + " shows the options"
                                     : "did you mean '--" + close.front() + "'? " + all + " shows all";
    if (command.program != Program::none) hint = "a program and its options go after '--'";
    throw Error(ErrorKind::usage, "unknown option " + in_quotes(given) + " for '" + typed_name(command) + "'", hint);
  } catch (const po::invalid_command_line_syntax& error) {
    if (error.kind() == po::invalid_syntax::extra_parameter)
      throw Error(ErrorKind::usage, "option " + in_quotes(error.get_option_name()) + " takes no value",
                  help_command_for(&command));
    throw needs_value(error.get_option_name());
  } catch (const po::error_with_option_name& error) {
    throw needs_value(error.get_option_name());
  }
}

void check_choice(std::string_view what, const std::string& value, std::span<const std::string_view> choices) {
  if (choices.empty() || std::find(choices.begin(), choices.end(), value) != choices.end()) return;
  std::string all;
  for (std::string_view choice : choices) all += (all.empty() ? "" : ", ") + std::string(choice);
  throw Error(ErrorKind::usage, std::string(what) + " cannot be " + in_quotes(value), "one of " + all);
}

void check_arguments(const Request& request) {
  const Command& command = *request.command;
  const Words& given = request.arguments;
  const std::string name = typed_name(command);
  for (std::size_t i = 0; i < command.arguments.size(); ++i) {
    const ArgumentSpec& argument = command.arguments[i];
    if (i >= given.size()) {
      if (argument.required)
        throw Error(ErrorKind::usage, "'" + name + "' needs " + std::string(argument.name),
                    help_command_for(&command));
      break;
    }
    const std::size_t end = argument.repeatable ? given.size() : i + 1;
    for (std::size_t k = i; k < end; ++k) check_choice(argument.name, given[k], argument.choices);
  }
  const bool any_number = !command.arguments.empty() && command.arguments.back().repeatable;
  if (given.size() > command.arguments.size() && !any_number) {
    const std::string extra = in_quotes(given[command.arguments.size()]);
    if (command.program != Program::none && !request.program)
      throw Error(ErrorKind::usage, "unexpected argument " + extra + ": a program goes after '--'",
                  with_separator(command, given));
    throw Error(ErrorKind::usage, "unexpected argument " + extra + " for '" + name + "'", help_command_for(&command));
  }
  if (command.program == Program::required && (!request.program || request.program->empty()))
    throw Error(ErrorKind::usage, "'" + name + "' needs a program to run, after '--'",
                "kortex-cli " + name + ' ' + (given.empty() ? "WORKSPACE" : shell_word(given.front())) + " -- ls");
}

void collect(Request& request, std::vector<po::option> parsed) {
  for (po::option& each : parsed) {
    if (each.string_key.empty()) {
      for (std::string& value : each.value) request.arguments.push_back(std::move(value));
      continue;
    }
    const OptionSpec* option = find_option(request.command, each.string_key);
    std::vector<std::string>& values = request.options[each.string_key];
    if (option->value.empty()) continue;
    if (!values.empty() && !option->repeatable)
      throw Error(ErrorKind::usage, "option '--" + each.string_key + "' is given twice",
                  help_command_for(request.command));
    for (std::string& value : each.value) {
      check_choice("'--" + each.string_key + "'", value, option->choices);
      values.push_back(std::move(value));
    }
  }
}

Words before_separator(const Words& args) {
  return Words(args.begin(), std::find(args.begin(), args.end(), "--"));
}

const OptionSpec* find_letter(const Command* command, char letter) {
  const auto among = [letter](std::span<const OptionSpec> options) -> const OptionSpec* {
    for (const OptionSpec& option : options)
      if (option.letter == letter) return &option;
    return nullptr;
  };
  const OptionSpec* own = command != nullptr ? among(command->options) : nullptr;
  return own != nullptr ? own : among(global_options());
}

/// "-qojson": what is left of the word behind `-o`, which may stand behind letters that take no value.
std::optional<std::string_view> output_value(const Command* command, std::string_view word) {
  if (word.size() < 2 || word[0] != '-' || word[1] == '-') return std::nullopt;
  for (std::size_t at = 1; at < word.size(); ++at) {
    const OptionSpec* option = find_letter(command, word[at]);
    if (option == nullptr) return std::nullopt;
    if (!option->value.empty()) return option->name == "output" ? std::optional(word.substr(at + 1)) : std::nullopt;
  }
  return std::nullopt;
}

}  // namespace

bool asks_for_json(const Words& args) {
  const Words words = before_separator(args);
  const Command* const command = locate(words).command;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::optional<std::string_view> value = output_value(command, words[i]);
    if (words[i] == "--output=json" || value == "json") return true;
    if ((words[i] == "--output" || value == "") && i + 1 < words.size() && words[i + 1] == "json") return true;
  }
  return false;
}

const Command* named_command(const Words& args) { return locate(before_separator(args)).command; }

Request parse(const Words& args) {
  Words words = before_separator(args);
  Request request;
  // Program_options would swallow `--`, and with it the difference between an argument and a program.
  if (words.size() < args.size())
    request.program.emplace(args.begin() + static_cast<std::ptrdiff_t>(words.size()) + 1, args.end());

  const Located found = locate(words);
  request.command = found.command;
  if (found.noun != nullptr) request.noun = found.noun->name;
  const bool help = std::any_of(words.begin(), words.end(),
                                [](const std::string& word) { return word == "-h" || word == "--help"; });
  if (found.command == nullptr) {
    if (!found.unknown.empty()) throw_unknown_command(found);
    if (help) {
      request.what = Request::What::help;
      return request;
    }
    if (!found.misplaced.empty()) {
      throw Error(ErrorKind::usage, "unknown option " + in_quotes(found.misplaced) + " before a command's name",
                  "options of a command go after its name; 'kortex-cli help' shows the commands");
    }
    if (!found.unvalued.empty())
      throw Error(ErrorKind::usage, "option " + in_quotes(found.unvalued) + " needs a value", help_command_for(nullptr));
    if (std::find(words.begin(), words.end(), "--version") != words.end()) {
      request.what = Request::What::version;
      request.command = find_command({}, "version");
      std::erase(words, "--version");
      collect(request, run_parser(*request.command, words));
      return request;
    }
    if (found.noun != nullptr) {
      std::string names;
      for (const std::string& verb : verbs_of(found.noun->name)) names += (names.empty() ? "" : ", ") + verb;
      throw Error(ErrorKind::usage, "'" + std::string(found.noun->name) + "' needs a command: " + names,
                  "kortex-cli help " + std::string(found.noun->name));
    }
    request.what = Request::What::help;
    throw Error(ErrorKind::usage, "no command given", "'kortex-cli help' shows all commands");
  }
  if (help) {
    request.what = Request::What::help;
    return request;
  }
  for (auto index = found.used.rbegin(); index != found.used.rend(); ++index)
    words.erase(words.begin() + static_cast<std::ptrdiff_t>(*index));
  collect(request, run_parser(*found.command, words));
  if (request.program && found.command->program == Program::none) {
    // No program to run: `--` only ends the options.
    request.arguments.insert(request.arguments.end(), request.program->begin(), request.program->end());
    request.program.reset();
  }
  check_arguments(request);
  if (!found.command->json && request.options.count("output") != 0 && request.options["output"].back() == "json")
    throw Error(ErrorKind::usage, "'" + typed_name(*found.command) + "' has no JSON output",
                help_command_for(found.command));
  return request;
}

}  // namespace kortex::host
