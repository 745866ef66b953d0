#include <boost/test/unit_test.hpp>
#include <thread>

#include "viewer.hpp"

using kortex::test::Holder;
using kortex::test::Viewer;
namespace session = kortex::session;

BOOST_AUTO_TEST_SUITE(viewer)

BOOST_AUTO_TEST_CASE(types_and_sees_the_answer) {
  Holder holder;
  holder.start("exec sh");
  Viewer viewer(holder);
  viewer.types("echo $((6*7))\r");
  BOOST_TEST(viewer.sees("42\r\n"));
}

BOOST_AUTO_TEST_CASE(leaves_with_keys_that_arrive_apart_and_comes_back_to_the_same_session) {
  Holder holder;
  holder.start("exec sh");
  Viewer first(holder);
  first.types("kept=value; echo be''fore\r");
  BOOST_TEST(first.sees("before\r\n"));
  first.types("\x10");
  first.types("\x11");
  const session::End end = first.end();
  BOOST_TEST(end.how == KORTEX_END_DETACHED);
  Viewer second(holder);
  BOOST_TEST(second.sees("before\r\n"));
  second.types("echo $kept\r");
  BOOST_TEST(second.sees("value\r\n"));
}

BOOST_AUTO_TEST_CASE(can_still_type_the_first_of_the_keys) {
  Holder holder;
  holder.start("stty raw -echo; echo ready; head -c 1 | od -An -tx1; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  viewer.types("\x10");
  BOOST_TEST(viewer.sees("10"));
  viewer.types("\x11");
  BOOST_TEST(viewer.end().how == KORTEX_END_DETACHED);
}

BOOST_AUTO_TEST_CASE(resizes_the_agents_terminal) {
  Holder holder;
  holder.start("trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done");
  Viewer viewer(holder, 24, 80);
  BOOST_TEST(viewer.sees("ready"));
  viewer.resizes(40, 132);
  BOOST_TEST(viewer.sees("40 132\r\n"));
}

BOOST_AUTO_TEST_CASE(that_comes_last_decides_the_size_until_another_types) {
  Holder holder;
  holder.start("exec sh", 20, 60);
  Viewer first(holder, 20, 60);
  first.types("stty size\r");
  BOOST_TEST(first.sees("20 60\r\n"));
  Viewer second(holder, 30, 90);
  second.types("stty size\r");
  BOOST_TEST(second.sees("30 90\r\n"));
  BOOST_TEST(first.sees("30 90\r\n"));
  first.types("stty size\r");
  BOOST_TEST(second.sees("20 60\r\n"));
}

BOOST_AUTO_TEST_CASE(finds_the_alternate_screen_redrawn_and_leaves_it) {
  Holder holder;
  holder.start("printf 'shell text\\n\\033[?1049hFIRST'; trap 'printf REDRAWN' WINCH; while :; do sleep 0.02; done");
  Viewer first(holder, 24, 80);
  BOOST_TEST(first.sees("\033[?1049h"));
  first.types("\x10\x11");
  BOOST_TEST(first.end().how == KORTEX_END_DETACHED);
  BOOST_TEST(first.sees("\033[?1049l"));
  Viewer second(holder, 24, 80);  // the same size: nothing but a nudge makes the program redraw
  BOOST_TEST(second.sees("\033[?1049h\033[2J\033[H"));
  BOOST_TEST(second.sees("REDRAWN"));
  BOOST_TEST(second.everything().find("shell text") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(gets_the_terminal_back_as_it_was) {
  Holder holder;
  holder.start("printf '\\033[?25l\\033[?1000h\\033[?2004h\\033[7m ready'; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees(" ready"));
  viewer.types("\x10\x11");
  BOOST_TEST(viewer.end().how == KORTEX_END_DETACHED);
  BOOST_TEST(viewer.sees("\033[?2004l\033[?1000l\033[?25h\033[0m"));
}

BOOST_AUTO_TEST_CASE(that_only_reads_neither_types_nor_resizes) {
  Holder holder;
  holder.start("stty -echo; echo ready; read x; echo \"got $x\"; stty size; exec sleep 60", 24, 80);
  Viewer reader(holder, 50, 150, [](session::Client& c, const session::Streams& s) { return c.attach(s, true); });
  BOOST_TEST(reader.sees("ready"));
  reader.types("from the reader\r");
  Viewer writer(holder, 24, 80);
  BOOST_TEST(writer.sees("ready"));
  writer.types("from the writer\r");
  BOOST_TEST(reader.sees("got from the writer\r\n24 80\r\n"));
}

BOOST_AUTO_TEST_CASE(that_follows_gets_no_replay) {
  Holder holder;
  holder.start("echo early; read x; echo late; exec sleep 60");
  Viewer writer(holder);
  BOOST_TEST(writer.sees("early"));
  Viewer follower(holder, 24, 80, [](session::Client& c, const session::Streams& s) { return c.follow(s); });
  session::Client observer = holder.client();
  while (observer.status().viewers < 2) continue;
  writer.types("\r");
  BOOST_TEST(follower.sees("late"));
  BOOST_TEST(follower.everything().find("early") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(that_does_not_read_stalls_nobody_and_is_shown_the_present_later) {
  Holder holder;
  // 6 MB: more than all queues together
  holder.start("read x; i=0; while [ $i -lt 6000 ]; do printf '%01000d\\n' $i; i=$((i+1)); done; echo all written; read x; exit 5");
  Viewer stalled(holder);
  session::Client observer = holder.client();
  while (observer.status().viewers < 1) continue;
  Viewer viewer(holder);
  while (observer.status().viewers < 2) continue;
  viewer.types("\r");
  BOOST_TEST(viewer.sees("all written"));
  BOOST_TEST(stalled.sees("all written"));
  BOOST_TEST(stalled.everything().size() < 5000000U);
  viewer.types("\r");
  BOOST_TEST(viewer.end().code == 5);
}

BOOST_AUTO_TEST_CASE(with_piped_input_watches_until_the_agent_ends) {
  Holder holder;
  holder.start("read x; echo \"got $x\"; exit 4");
  kortex::Pipe in = kortex::Pipe::make(), out = kortex::Pipe::make();
  BOOST_REQUIRE(::write(in.write.get(), "word\n", 5) == 5);
  in.write.reset();
  session::Streams streams;
  streams.in = in.read.get();
  streams.out = out.write.get();
  const session::End end = holder.client().attach(streams);
  BOOST_TEST(end.how == KORTEX_END_EXITED);
  BOOST_TEST(end.code == 4);
  char text[256];
  const ssize_t n = ::read(out.read.get(), text, sizeof text);
  BOOST_TEST(std::string(text, n > 0 ? static_cast<std::size_t>(n) : 0).find("got word") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(is_told_how_the_agent_ended) {
  Holder exits;
  exits.start("read x; exit 42");
  Viewer viewer(exits);
  viewer.types("\r");
  session::End end = viewer.end();
  BOOST_TEST(end.how == KORTEX_END_EXITED);
  BOOST_TEST(end.code == 42);
  BOOST_TEST(exits.exit_code() == 42);

  Holder killed;
  killed.start("read x; kill -KILL $$");
  Viewer other(killed);
  other.types("\r");
  end = other.end();
  BOOST_TEST(end.how == KORTEX_END_EXITED);
  BOOST_TEST(end.code == 128 + SIGKILL);
}

BOOST_AUTO_TEST_CASE(is_told_when_the_holder_is_killed) {
  Holder holder;
  holder.start("echo ready; exec sleep 1");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  ::kill(holder.pid(), SIGKILL);
  BOOST_CHECK_EXCEPTION(viewer.end(), session::Error, [](const session::Error& e) {
    return e.code == KORTEX_E_BACKEND && std::string(e.what()) == "the session ended unexpectedly";
  });
}

BOOST_AUTO_TEST_SUITE_END()
