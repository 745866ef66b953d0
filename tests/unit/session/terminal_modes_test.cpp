#include <boost/test/unit_test.hpp>
#include <kortex/terminal_modes.h>
#include <string>

namespace {

kortex_terminal after(const std::string& bytes) {
  kortex_terminal t;
  kortex_terminal_init(&t);
  for (const char c : bytes) kortex_terminal_byte(&t, static_cast<std::uint8_t>(c));
  return t;
}

std::string resetting(const std::string& bytes) {
  const kortex_terminal t = after(bytes);
  char out[KORTEX_TERMINAL_SEQUENCE_MAX];
  return std::string(out, kortex_terminal_resetting(&t, out));
}

std::string restoring(const std::string& bytes) {
  const kortex_terminal t = after(bytes);
  char out[KORTEX_TERMINAL_SEQUENCE_MAX];
  return std::string(out, kortex_terminal_restoring(&t, out));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(terminal_modes)

BOOST_AUTO_TEST_CASE(nothing_is_reset_that_was_not_set) {
  BOOST_TEST(resetting("plain \033[1mtext\033[0m\r\n") == "");
  BOOST_TEST(resetting("\033[?1049h\033[?25l vim \033[?25h\033[?1049l") == "");
}

BOOST_AUTO_TEST_CASE(what_was_left_on_is_reset) {
  BOOST_TEST(resetting("\033[?1049h") == "\033[?1049l");
  BOOST_TEST(resetting("\033[?25l") == "\033[?25h");
  BOOST_TEST(resetting("\033[?1000;1006h\033[?2004h") == "\033[?2004l\033[?1006l\033[?1000l");
  BOOST_TEST(resetting("\033[31m") == "\033[0m");
  BOOST_TEST(resetting("\033=") == "\033>");
  BOOST_TEST(resetting("\033[>1u") == "\033[<1u");
  BOOST_TEST(resetting("\033[>4;2m") == "\033[>4m");
}

BOOST_AUTO_TEST_CASE(modes_set_long_ago_are_restored) {
  BOOST_TEST(restoring("\033[?1h\033[?25l\033[?2004h") == "\033[0m\033[?1h\033[?25l\033[?2004h");
  BOOST_TEST(restoring("\033[?2004h\033c") == "\033[0m");
}

BOOST_AUTO_TEST_CASE(a_cut_sequence_is_ended_first) {
  BOOST_TEST(resetting("\033[?25l\033]0;title") == "\033\\\033[?25h");
  BOOST_TEST(resetting("\033[?25l\033[12") == "\030\033[?25h");
}

BOOST_AUTO_TEST_CASE(rest_is_between_characters_and_sequences) {
  const auto rests = [](const std::string& bytes) {
    const kortex_terminal t = after(bytes);
    return kortex_terminal_is_at_rest(&t) != 0;
  };
  BOOST_TEST(rests("a"));
  BOOST_TEST(!rests("\xe2\x82"));
  BOOST_TEST(rests("\xe2\x82\xac"));
  BOOST_TEST(!rests("\033"));
  BOOST_TEST(!rests("\033[3"));
  BOOST_TEST(rests("\033[31m"));
  BOOST_TEST(!rests("\033]0;title"));
  BOOST_TEST(rests("\033]0;title\007"));
  BOOST_TEST(rests("\033]8;;http://x\033\\"));
  BOOST_TEST(!rests("\033("));
  BOOST_TEST(rests("\033(0"));
}

BOOST_AUTO_TEST_CASE(any_name_leaves_the_alternate_screen) {
  const kortex_terminal t = after("\033[?1049h\033[?47l");
  BOOST_TEST(!kortex_terminal_is_alternate(&t));
}

BOOST_AUTO_TEST_SUITE_END()
