#include "cli/output/text.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex::host;

BOOST_AUTO_TEST_SUITE(text)

BOOST_AUTO_TEST_CASE(replaces_what_a_terminal_would_obey) {
  BOOST_TEST(printable("a\033[31mb\r\n\x7f") == "a?[31mb???");
  BOOST_TEST(printable("c1: \xC2\x9B" "31m") == "c1: ?31m");
  BOOST_TEST(printable("rtl: \xE2\x80\xAE.") == "rtl: ?.");
}

BOOST_AUTO_TEST_CASE(mends_broken_utf8) {
  BOOST_TEST(valid_utf8("a\xFF" "b") == "a\xEF\xBF\xBD" "b");
  BOOST_TEST(valid_utf8("\xC3") == "\xEF\xBF\xBD");
  BOOST_TEST(valid_utf8("\xED\xA0\x80") == "\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD");
  BOOST_TEST(valid_utf8("\xC0\x80") == "\xEF\xBF\xBD\xEF\xBF\xBD");
  BOOST_TEST(valid_utf8("日本 \xF0\x9F\x98\x80") == "日本 \xF0\x9F\x98\x80");
}

BOOST_AUTO_TEST_CASE(measures_what_a_terminal_shows) {
  BOOST_TEST(display_width("abc") == 3u);
  BOOST_TEST(display_width("Ümläut") == 6u);
  BOOST_TEST(display_width("日本") == 4u);
  BOOST_TEST(display_width("e\xCC\x81") == 1u);
  BOOST_TEST(display_width("\xF0\x9F\x98\x80") == 2u);
}

BOOST_AUTO_TEST_CASE(writes_words_that_a_shell_reads_back) {
  BOOST_TEST(shell_word("plain-1.0/x") == "plain-1.0/x");
  BOOST_TEST(shell_word("two words") == "'two words'");
  BOOST_TEST(shell_word("it's") == "'it'\\''s'");
  BOOST_TEST(shell_word("") == "''");
  BOOST_TEST(shell_word("~x") == "'~x'");
}

BOOST_AUTO_TEST_CASE(wraps_at_the_width_and_keeps_indented_lines) {
  BOOST_TEST(wrapped("one two three", 2, 9) == "  one two\n  three\n");
  BOOST_TEST(wrapped("a\n\n  kept as  it is\nb", 0, 5) == "a\n\n  kept as  it is\nb\n");
}

BOOST_AUTO_TEST_CASE(tells_times_relative_to_now) {
  const std::int64_t now = 1'700'000'000'000;
  BOOST_TEST(time_ago(0, now) == "never");
  BOOST_TEST(time_ago(now - 500, now) == "now");
  BOOST_TEST(time_ago(now + 5000, now) == "now");
  BOOST_TEST(time_ago(now - 1000, now) == "1 second ago");
  BOOST_TEST(time_ago(now - 3 * 60'000, now) == "3 minutes ago");
  BOOST_TEST(time_ago(now - 2 * 3'600'000, now) == "2 hours ago");
  BOOST_TEST(time_ago(now - 3 * 86'400'000LL, now) == "3 days ago");
}

BOOST_AUTO_TEST_CASE(tells_sizes_and_spans) {
  BOOST_TEST(size_text(100) == "100 B");
  BOOST_TEST(size_text(512LL << 20) == "512 MiB");
  BOOST_TEST(size_text(1536LL << 20) == "1.5 GiB");
  BOOST_TEST(elapsed_text(1540) == "1.5s");
  BOOST_TEST(elapsed_text(123'000) == "2m 3s");
}

BOOST_AUTO_TEST_SUITE_END()
