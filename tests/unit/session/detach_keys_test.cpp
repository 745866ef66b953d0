#include <boost/test/unit_test.hpp>
#include <kortex/session_keys.hpp>

using kortex::session::DetachKeys;

BOOST_AUTO_TEST_SUITE(detach_keys)

BOOST_AUTO_TEST_CASE(finds_the_sequence_across_reads) {
  DetachKeys keys("\x10\x11");
  std::string typed;
  BOOST_TEST(!keys.feed("ls\x10", 3, typed));
  BOOST_TEST(typed == "ls");
  BOOST_TEST(keys.holds());
  BOOST_TEST(keys.feed("\x11more", 5, typed));
  BOOST_TEST(typed == "ls");
}

BOOST_AUTO_TEST_CASE(passes_on_a_beginning_that_turns_out_to_be_something_else) {
  DetachKeys keys("\x10\x10\x11");
  std::string typed;
  BOOST_TEST(!keys.feed("\x10\x10\x10", 3, typed));
  BOOST_TEST(typed == "\x10");
  BOOST_TEST(keys.feed("\x11", 1, typed));
  DetachKeys others("ab");
  typed.clear();
  BOOST_TEST(!others.feed("aax", 3, typed));
  BOOST_TEST(typed == "aax");
}

BOOST_AUTO_TEST_CASE(can_be_completed_after_its_beginning_was_released) {
  DetachKeys keys("\x10\x11");
  std::string typed;
  BOOST_TEST(!keys.feed("\x10", 1, typed));
  keys.release(typed);
  BOOST_TEST(typed == "\x10");
  BOOST_TEST(!keys.holds());
  BOOST_TEST(keys.feed("\x11", 1, typed));
}

BOOST_AUTO_TEST_CASE(does_not_repeat_what_was_released) {
  DetachKeys keys("\x10\x11");
  std::string typed;
  BOOST_TEST(!keys.feed("\x10", 1, typed));
  keys.release(typed);
  BOOST_TEST(!keys.feed("x\x10y", 3, typed));
  BOOST_TEST(typed == "\x10x\x10y");
}

BOOST_AUTO_TEST_CASE(knows_control_keys_of_extended_keyboard_protocols) {
  for (const std::string sequence : {"\033[112;5u\033[113;5u", "\033[27;5;112~\033[27;5;113~"}) {
    DetachKeys keys("\x10\x11");
    std::string typed;
    bool left = false;
    for (const char c : sequence) left = keys.feed(&c, 1, typed);
    BOOST_TEST(left);
    BOOST_TEST(!keys.holds());
  }
}

BOOST_AUTO_TEST_CASE(passes_everything_on_without_keys) {
  DetachKeys keys("");
  std::string typed;
  BOOST_TEST(!keys.feed("\x10\x11", 2, typed));
  BOOST_TEST(typed == "\x10\x11");
}

BOOST_AUTO_TEST_SUITE_END()
