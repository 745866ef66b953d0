#include "cli/values.hpp"

#include <boost/test/unit_test.hpp>

#include "system/error.hpp"

using namespace kortex::host;

namespace {

template <class Function>
void check_refused(Function function, const std::string& message, const std::string& hint) {
  try {
    function();
    BOOST_ERROR("was accepted, should be: " + message);
  } catch (const Error& error) {
    BOOST_TEST(static_cast<int>(error.kind()) == 2);
    BOOST_TEST(error.message() == message);
    BOOST_TEST(error.hint() == hint);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(values)

BOOST_AUTO_TEST_CASE(reads_durations_exactly) {
  BOOST_TEST(parse_duration("250ms", "x").count() == 250);
  BOOST_TEST(parse_duration("30s", "x").count() == 30'000);
  BOOST_TEST(parse_duration("5m", "x").count() == 300'000);
  BOOST_TEST(parse_duration("1h", "x").count() == 3'600'000);
  BOOST_TEST(parse_duration("0", "x").count() == 0);
}

BOOST_AUTO_TEST_CASE(refuses_durations_without_unit_negative_fractional_or_too_long) {
  for (const char* text : {"5", "-5s", "1.5s", "5 s", "s", "", "9999999999999s", "99999999999999999999s"})
    check_refused([&] { (void)parse_duration(text, "'--grace'"); }, std::string("'--grace' cannot be '") + text + "'",
                  "a duration is written 250ms, 30s, 5m or 1h");
}

BOOST_AUTO_TEST_CASE(reads_booleans_in_any_case) {
  for (const char* yes : {"1", "true", "YES", "On"}) BOOST_TEST(parse_boolean(yes, "X"));
  for (const char* no : {"0", "False", "no", "OFF"}) BOOST_TEST(!parse_boolean(no, "X"));
  check_refused([] { (void)parse_boolean("maybe", "KORTEX_CLI_INIT_AUTO_START"); },
                "KORTEX_CLI_INIT_AUTO_START cannot be 'maybe'", "1, true, yes, on, 0, false, no or off");
}

BOOST_AUTO_TEST_CASE(splits_pairs_at_the_first_equals_sign) {
  const KeyValues pairs = parse_pairs({"a=b=c", "d="}, "'--x'", Bare::refused);
  BOOST_TEST(pairs.at(0).second == "b=c");
  BOOST_TEST(pairs.at(1).second == "");
  BOOST_TEST(parse_pairs({"tty"}, "'--x'", Bare::is_true).at(0).second == "true");
  check_refused([] { (void)parse_pairs({"tty"}, "'--x'", Bare::refused); }, "'--x' cannot be 'tty'", "it is written KEY=VALUE");
  check_refused([] { (void)parse_pairs({"=v"}, "'--x'", Bare::is_true); }, "'--x' cannot be '=v'", "it is written KEY=VALUE");
}

BOOST_AUTO_TEST_CASE(reads_detach_keys) {
  BOOST_TEST(parse_detach_keys("ctrl-p,ctrl-q", "x") == "\x10\x11");
  BOOST_TEST(parse_detach_keys("Ctrl-P ctrl-Q", "x") == "\x10\x11");
  BOOST_TEST(parse_detach_keys("a,B", "x") == "aB");
  BOOST_TEST(parse_detach_keys("ctrl-]", "x") == "\x1d");
  BOOST_TEST(parse_detach_keys("", "x").empty());
  check_refused([] { (void)parse_detach_keys("alt-x", "'--detach-keys'"); }, "'--detach-keys' cannot be 'alt-x'",
                "keys are written ctrl-p,ctrl-q");
}

BOOST_AUTO_TEST_SUITE_END()
