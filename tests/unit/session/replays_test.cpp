extern "C" {
#include "frame.h"
#include "output.h"
}

#include <stdlib.h>

#include <boost/test/unit_test.hpp>
#include <memory>
#include <string>

namespace {

struct Output {
  ::output output{};
  Output() { BOOST_REQUIRE(output_init(&output)); }
  ~Output() { ::free(output.ring); }
  void write(const std::string& bytes) {
    output_append(&output, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
  }
  std::string replay(enum ::replay kind = REPLAY_RECENT, std::uint64_t* live = nullptr) const {
    buffer frames{};
    std::uint64_t from = 0;
    BOOST_REQUIRE(output_replay(&output, kind, &frames, live ? live : &from));
    frame_reader reader{};
    frame_feed(&reader, buffer_front(&frames), frames.size);
    std::string text;
    frame f{};
    while (frame_next(&reader, &f) == FRAME_READY) text.append(reinterpret_cast<const char*>(f.payload), f.length);
    frame_reader_free(&reader);
    buffer_free(&frames);
    return text;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(replays)

BOOST_AUTO_TEST_CASE(replays_what_was_written) {
  const auto o = std::make_unique<Output>();
  o->write("one\r\n\033[31mtwo\033[0m\r\n");
  BOOST_TEST(o->replay() == "\033[0mone\r\n\033[31mtwo\033[0m\r\n");
}

BOOST_AUTO_TEST_CASE(leaves_out_what_makes_a_terminal_answer_or_ring) {
  const auto o = std::make_unique<Output>();
  o->write("a\033[c\033[6n\033[>q\033[?2026$p\033[14t\033]11;?\007\033P+q544e\033\\\007\005\033]52;c;aGk=\007\033[?ub\033]0;t\007");
  BOOST_TEST(o->replay() == "\033[0mab\033]0;t\007");
}

BOOST_AUTO_TEST_CASE(begins_after_a_newline_when_there_is_too_much) {
  const auto o = std::make_unique<Output>();
  for (int i = 0; i < 100000; ++i) o->write("line " + std::to_string(i) + " \xe2\x82\xac\033[1m\r\n");
  const std::string text = o->replay();
  BOOST_TEST(text.size() <= static_cast<std::size_t>(OUTPUT_REPLAYED) + 16);
  BOOST_TEST(text.size() > static_cast<std::size_t>(OUTPUT_REPLAYED) - 4096);
  BOOST_TEST(text.substr(0, 9) == "\033[0mline ");
  BOOST_TEST(text.find("line 99999") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(begins_outside_sequences_and_characters_without_newlines) {
  const auto o = std::make_unique<Output>();
  for (int i = 0; i < 200000; ++i) o->write("\xe2\x82\xac\033[1m");
  const std::string text = o->replay();
  BOOST_TEST(text.size() > 200000U);
  const std::string first = text.substr(4, 1);
  BOOST_TEST((first == "\xe2" || first == "\033"));
}

BOOST_AUTO_TEST_CASE(restores_modes_older_than_all_that_is_kept) {
  const auto o = std::make_unique<Output>();
  o->write("\033[?2004h");
  for (int i = 0; i < 200000; ++i) o->write("0123456789\r\n");
  BOOST_TEST(o->replay().substr(0, 12) == "\033[0m\033[?2004h");
}

BOOST_AUTO_TEST_CASE(does_not_redraw_the_alternate_screen_from_old_bytes) {
  const auto o = std::make_unique<Output>();
  o->write("shell\r\n\033[?1049h\033[Hvim");
  BOOST_TEST(o->replay() == "\033[0m\033[?1049h\033[2J\033[H");
}

BOOST_AUTO_TEST_CASE(never_begins_within_the_alternate_screen) {
  const auto o = std::make_unique<Output>();
  o->write("\033[?1049h");
  for (int i = 0; i < 60000; ++i) o->write("drawing\r\n");
  o->write("\033[?1049lback in the shell\r\n");
  BOOST_TEST(o->replay() == "\033[0mback in the shell\r\n");
}

BOOST_AUTO_TEST_CASE(leaves_an_incomplete_sequence_to_live_output) {
  const auto o = std::make_unique<Output>();
  o->write("text\033[3");
  std::uint64_t live = 0;
  BOOST_TEST(o->replay(REPLAY_RECENT, &live) == "\033[0mtext");
  BOOST_TEST(live == 4U);
}

BOOST_AUTO_TEST_CASE(cleans_up_after_a_viewer_that_lagged) {
  const auto o = std::make_unique<Output>();
  o->write("text\r\n");
  BOOST_TEST(o->replay(REPLAY_AFTER_LAG) == "\030\033\\\033[!p\033(B\033[0m\033[?1049l\033[2J\033[H\033[0mtext\r\n");
}

BOOST_AUTO_TEST_SUITE_END()
