/// `kortex-cli __complete -- WORD...`: what the last word could become. Answers from the table, names in the store
/// and file names of runtimes; never runs a runtime's code.
#include <algorithm>

#include "cli/commands.hpp"
#include "cli/invocation.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

using Words = std::vector<std::string>;

class Answers {
 public:
  Answers(Stream& out, std::string current) : m_out(out), m_current(std::move(current)) {}

  void add(const std::string& word, std::string_view meaning = {}) {
    // A name that is not printable could not be typed back.
    if (!word.starts_with(m_current) || printable(word) != word) return;
    m_out << word;
    if (!meaning.empty()) m_out << "\t" << printable(meaning);
    m_out << "\n";
  }
  void directive(std::string_view name) { m_out << name << "\n"; }
  [[nodiscard]] const std::string& current() const { return m_current; }

 private:
  Stream& m_out;
  std::string m_current;
};

/// Where the last word stands.
struct Position {
  const Noun* noun = nullptr;
  const Command* command = nullptr;
  const OptionSpec* awaiting = nullptr;  ///< the option whose value it is
  std::size_t arguments = 0;             ///< given before it
  std::string glued;                     ///< "--option=" in front of the value
  Request given;                         ///< the options so far: --storage says which names there are
};

const OptionSpec* option_of(const Command* command, const std::string& word) {
  const auto matches = [&](const OptionSpec& option) {
    return word == "--" + std::string(option.name) || (option.letter != 0 && word == std::string("-") + option.letter);
  };
  if (command != nullptr)
    for (const OptionSpec& option : command->options)
      if (matches(option)) return &option;
  for (const OptionSpec& option : global_options())
    if (matches(option)) return &option;
  return nullptr;
}

Position find_position(const Words& words) {
  Position position;
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& word = words[i];
    if (position.awaiting != nullptr) {
      position.given.options[std::string(position.awaiting->name)].push_back(word);
      position.awaiting = nullptr;
    } else if (word.size() > 1 && word[0] == '-') {
      const std::size_t glue = word.find('=');
      const OptionSpec* option = option_of(position.command, word.substr(0, glue));
      if (option == nullptr || option->value.empty()) continue;
      if (glue == std::string::npos)
        position.awaiting = option;
      else
        position.given.options[std::string(option->name)].push_back(word.substr(glue + 1));
    } else if (position.command != nullptr) {
      ++position.arguments;
    } else if (position.noun == nullptr && find_noun(word) != nullptr) {
      position.noun = find_noun(word);
    } else {
      position.command = find_command(position.noun != nullptr ? position.noun->name : std::string_view(), word);
      if (position.command == nullptr) position.arguments = words.size();
    }
  }
  const std::string& last = words.back();
  const std::size_t equals = last.find('=');
  if (position.awaiting == nullptr && last.starts_with("--") && equals != std::string::npos) {
    position.awaiting = option_of(position.command, last.substr(0, equals));
    position.glued = last.substr(0, equals + 1);
  }
  return position;
}

void add_commands(Answers& answers, std::string_view noun) {
  for (const std::string& verb : verbs_of(noun)) {
    const Command* command = find_command(noun, verb);
    const Noun* group = noun.empty() ? find_noun(verb) : nullptr;
    answers.add(verb, command != nullptr ? command->summary : group != nullptr ? group->summary : std::string_view());
  }
}

void add_values(Answers& answers, Invocation& invocation, Kind kind, std::span<const std::string_view> choices,
                const std::string& glued) {
  const auto add = [&](const std::string& word, std::string_view meaning = {}) { answers.add(glued + word, meaning); };
  switch (kind) {
    case Kind::choice:
      for (std::string_view choice : choices) add(std::string(choice));
      return;
    case Kind::workspace: {
      Words names = invocation.store().names();
      std::sort(names.begin(), names.end());
      for (const std::string& name : names) add(name);
      return;
    }
    case Kind::runtime:
      for (const PluginFile& file : invocation.registry().scan())
        if (file.loadable() && !file.shadowed) add(file.name, file.descriptor ? file.descriptor->summary : "");
      return;
    case Kind::agent:
      for (const std::string& name : invocation.agents().names()) add(name);
      return;
    case Kind::command: return add_commands(answers, {});
    case Kind::file: return answers.directive(":files");
    case Kind::directory: return answers.directive(":directories");
    case Kind::runtime_option:
    case Kind::text: return;
  }
}

/// Of the runtime that is typed, what its note says.
void add_runtime_options(Answers& answers, Invocation& invocation, const std::string& glued) {
  const std::optional<std::string> typed = invocation.option("runtime");
  const std::string runtime = typed ? *typed : invocation.environment().variable("KORTEX_CLI_DEFAULT_RUNTIME").value_or(std::string());
  for (const PluginFile& file : invocation.registry().scan()) {
    if (file.name != runtime || !file.loadable() || file.shadowed || !file.descriptor) continue;
    for (const NotedOption& option : file.descriptor->options) {
      const std::string key = glued + option.name + "=";
      if (!answers.current().starts_with(key)) answers.add(key);
      for (const std::string& value : option.values)
        if (answers.current().starts_with(key)) answers.add(key + value);
    }
  }
}

void add_options(Answers& answers, const Command* command) {
  const auto add = [&](const OptionSpec& option) { answers.add("--" + std::string(option.name), option.help); };
  if (command != nullptr)
    for (const OptionSpec& option : command->options) add(option);
  for (const OptionSpec& option : global_options()) add(option);
}

int run(Invocation& invocation) {
  Words words = invocation.program().value_or(Words());
  if (words.empty()) words.emplace_back();
  // Behind a second `--` is a program, of the instance.
  if (std::find(words.begin(), words.end() - 1, "--") != words.end() - 1) return 0;
  const Position position = find_position(words);
  Answers answers(invocation.out(), words.back());
  Invocation as_typed(invocation.environment(), position.given, invocation.out(), invocation.reporter());
  if (position.awaiting != nullptr && position.awaiting->kind == Kind::runtime_option)
    add_runtime_options(answers, as_typed, position.glued);
  else if (position.awaiting != nullptr)
    add_values(answers, as_typed, position.awaiting->kind, position.awaiting->choices, position.glued);
  else if (words.back().starts_with('-'))
    add_options(answers, position.command);
  else if (position.command == nullptr && position.arguments == 0)
    add_commands(answers, position.noun != nullptr ? position.noun->name : std::string_view());
  else if (position.command != nullptr && !position.command->arguments.empty()) {
    const std::span<const ArgumentSpec> specs = position.command->arguments;
    if (position.arguments >= specs.size() && !specs.back().repeatable) return 0;
    const ArgumentSpec& spec = specs[std::min(position.arguments, specs.size() - 1)];
    add_values(answers, as_typed, spec.kind, spec.choices, {});
  }
  return 0;
}

}  // namespace

extern const Command complete_command;
constinit const Command complete_command = {
    .verb = "__complete",
    .summary = "answer a completion script",
    .program = Program::optional,
    .json = false,
    .hidden = true,
    .run = run,
};

}  // namespace kortex::host
