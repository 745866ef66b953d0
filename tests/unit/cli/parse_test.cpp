#include "cli/parse.hpp"

#include <boost/test/unit_test.hpp>

#include "cli/commands.hpp"
#include "system/error.hpp"

using namespace kortex::host;

namespace {

Request parse_words(const std::vector<std::string>& words) { return kortex::host::parse(words); }

Error error_of(const std::vector<std::string>& words) {
  try {
    (void)parse_words(words);
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorKind::failed, "no error");
}

void check_error(const std::vector<std::string>& words, const std::string& message, const std::string& hint) {
  const Error error = error_of(words);
  BOOST_TEST(static_cast<int>(error.kind()) == 2);
  BOOST_TEST(error.message() == message);
  BOOST_TEST(error.hint() == hint);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(parse)

BOOST_AUTO_TEST_CASE(finds_a_workspace_command_with_and_without_its_noun) {
  BOOST_TEST(parse_words({"list"}).command == parse_words({"workspace", "ls"}).command);
}

BOOST_AUTO_TEST_CASE(takes_global_options_before_between_and_after) {
  const Request request = parse_words({"--storage", "/a", "runtime", "-ojson", "list", "--runtime-path=/b"});
  BOOST_TEST(typed_name(*request.command) == "runtime list");
  BOOST_TEST(request.options.at("storage").at(0) == "/a");
  BOOST_TEST(request.options.at("output").at(0) == "json");
  BOOST_TEST(request.options.at("runtime-path").at(0) == "/b");
}

BOOST_AUTO_TEST_CASE(composes_repeatable_options_in_order) {
  const Request request = parse_words({"init", "--require", "a=1", ".", "--require=b"});
  BOOST_TEST(request.options.at("require") == (std::vector<std::string>{"a=1", "b"}), boost::test_tools::per_element());
  BOOST_TEST(request.arguments == std::vector<std::string>{"."}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(sticks_short_options_together) {
  const Request request = parse_words({"init", "-nfoo", "-v"});
  BOOST_TEST(request.options.at("name").at(0) == "foo");
  BOOST_TEST(request.options.count("verbose") == 1u);
}

BOOST_AUTO_TEST_CASE(keeps_an_empty_value_and_an_empty_argument) {
  const Request request = parse_words({"init", "--name", "", ""});
  BOOST_TEST(request.options.at("name").at(0) == "");
  BOOST_TEST(request.arguments == std::vector<std::string>{""}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(leaves_the_program_alone) {
  const Request request = parse_words({"exec", "-t", "w", "--", "ls", "--", "-l", ""});
  BOOST_TEST(*request.program == (std::vector<std::string>{"ls", "--", "-l", ""}), boost::test_tools::per_element());
  BOOST_TEST(request.arguments == std::vector<std::string>{"w"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(ends_options_with_two_dashes_where_no_program_is_taken) {
  const Request request = parse_words({"init", "--", "-dir"});
  BOOST_TEST(request.arguments == std::vector<std::string>{"-dir"}, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(does_not_guess_options) {
  check_error({"list", "--out", "json"}, "unknown option '--out' for 'list'",
              "'kortex-cli list --help' shows the options");
}

BOOST_AUTO_TEST_CASE(suggests_the_nearest_option) {
  check_error({"remove", "--forec", "w"}, "unknown option '--forec' for 'remove'",
              "did you mean '--force'? 'kortex-cli remove --help' shows all");
}

BOOST_AUTO_TEST_CASE(suggests_the_nearest_command) {
  check_error({"lsit"}, "no command 'lsit'", "did you mean 'kortex-cli list'? 'kortex-cli help' shows all");
  check_error({"runtime", "ist"}, "no command 'runtime ist'",
              "did you mean 'kortex-cli runtime list'? 'kortex-cli help runtime' shows all");
}

BOOST_AUTO_TEST_CASE(tells_where_a_program_goes) {
  check_error({"exec", "w", "ls"}, "unexpected argument 'ls': a program goes after '--'", "kortex-cli exec w -- ls");
  check_error({"exec", "w", "ls", "-l"}, "unknown option '-l' for 'exec'", "a program and its options go after '--'");
}

BOOST_AUTO_TEST_CASE(refuses_values_that_are_missing_superfluous_doubled_or_no_choice) {
  check_error({"init", "--name"}, "option '--name' needs a value", "kortex-cli init --help");
  check_error({"list", "--quiet=1"}, "option '--quiet' takes no value", "kortex-cli list --help");
  check_error({"init", "-n", "a", "--name=b"}, "option '--name' is given twice", "kortex-cli init --help");
  check_error({"list", "-o", "yaml"}, "'--output' cannot be 'yaml'", "one of text, json");
}

BOOST_AUTO_TEST_CASE(never_shows_control_characters_of_what_was_typed) {
  check_error({"\033[31m"}, "no command '?[31m'", "'kortex-cli help' shows all commands");
}

BOOST_AUTO_TEST_CASE(knows_json_is_wanted_though_the_words_make_no_sense) {
  BOOST_TEST(asks_for_json({"nonsense", "-o", "json"}));
  BOOST_TEST(asks_for_json({"--output=json"}));
  BOOST_TEST(asks_for_json({"list", "-qojson"}));
  BOOST_TEST(asks_for_json({"list", "-qo", "json"}));
  BOOST_TEST(!asks_for_json({"list", "-qx", "json"}));
  BOOST_TEST(!asks_for_json({"exec", "w", "--", "kubectl", "-o", "json"}));
}

BOOST_AUTO_TEST_CASE(refuses_json_where_a_command_has_none) {
  check_error({"exec", "-o", "json", "w", "--", "ls"}, "'exec' has no JSON output", "kortex-cli exec --help");
}

BOOST_AUTO_TEST_CASE(shows_help_whatever_else_is_wrong) {
  const Request request = parse_words({"init", "--nonsense", "-h"});
  BOOST_TEST(static_cast<int>(request.what) == static_cast<int>(Request::What::help));
  BOOST_TEST(typed_name(*request.command) == "init");
}

BOOST_AUTO_TEST_SUITE_END()
