#include "cli/help.hpp"

#include <boost/test/unit_test.hpp>

#include "cli/output/text.hpp"
#include "cli/parse.hpp"
#include "system/error.hpp"

using namespace kortex::host;

namespace {

void check_width(const std::string& help) {
  for (const std::string& line : lines_of(help)) BOOST_TEST(display_width(line) <= 80u, line);
}

/// The words of an example that are ours, as a shell would split them (no quotes are used within).
std::vector<std::string> words_of(std::string_view line) {
  std::vector<std::string> words;
  std::string text(line.substr(0, std::min(line.find(" > "), std::min(line.find(" && "), line.find(" | ")))));
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    if (end > begin) words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(help)

BOOST_AUTO_TEST_CASE(fits_eighty_columns) {
  check_width(overview());
  for (const Noun& noun : all_nouns()) check_width(help_of(noun));
  for (const Command* command : all_commands()) check_width(help_of(*command));
}

BOOST_AUTO_TEST_CASE(names_every_option_and_argument_of_a_command) {
  for (const Command* command : all_commands()) {
    const std::string text = help_of(*command);
    for (const OptionSpec& option : command->options)
      BOOST_TEST(text.find("--" + std::string(option.name)) != std::string::npos, option.name);
    for (const ArgumentSpec& argument : command->arguments)
      BOOST_TEST(text.find(std::string(argument.name)) != std::string::npos, argument.name);
  }
}

BOOST_AUTO_TEST_CASE(shows_only_examples_that_can_be_typed) {
  for (const Command* command : all_commands()) {
    for (const Example& example : command->examples) {
      std::vector<std::string> words = words_of(example.line);
      if (words.empty() || words.front() != "kortex-cli") continue;
      words.erase(words.begin());
      try {
        BOOST_TEST(parse(words).command == command, example.line);
      } catch (const Error& error) {
        BOOST_ERROR(std::string(example.line) + ": " + error.message());
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(hides_what_is_for_scripts) {
  BOOST_TEST(overview().find("__complete") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
