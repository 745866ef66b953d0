#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <future>

#include <kortex/fd.hpp>

#include "viewer.hpp"

using kortex::Pipe;
using kortex::test::Holder;
using kortex::test::readable;
using kortex::test::Viewer;
namespace session = kortex::session;

namespace {
bool is(const session::Error& error, kortex_status code, const std::string& message) {
  BOOST_TEST(error.code == code);
  BOOST_TEST(error.what() == message);
  return error.code == code && error.what() == message;
}
}  // namespace

BOOST_AUTO_TEST_SUITE(agent)

BOOST_AUTO_TEST_CASE(runs_on_a_terminal_that_has_its_size_from_the_first_byte) {
  Holder holder;
  holder.start("stty size; tty >/dev/null && echo terminal; exec sleep 60", 31, 101);
  Viewer viewer(holder, 31, 101);
  BOOST_TEST(viewer.sees("31 101\r\nterminal\r\n"));
  Holder other;
  other.start("stty size; exec sleep 60");
  Viewer late(other, 24, 80);
  BOOST_TEST(late.sees("24 80\r\n"));
}

BOOST_AUTO_TEST_CASE(has_its_own_environment_and_directory_and_nothing_of_the_holder) {
  Holder holder;
  holder.start("env | sort; pwd; ls /proc/$$/fd | tr '\\n' ' '; grep -E 'SigBlk|SigIgn' /proc/self/status; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("FROM_AGENT=yes"));
  BOOST_TEST(viewer.sees(holder.directory.string() + "\r\n0 1 2 "));
  BOOST_TEST(viewer.sees("SigBlk:\t0000000000000000"));
  BOOST_TEST(viewer.sees("SigIgn:\t0000000000000000"));
}

BOOST_AUTO_TEST_CASE(is_started_once) {
  Holder holder;
  holder.start("exec sleep 60");
  BOOST_CHECK_EXCEPTION(holder.start("true"), session::Error,
                        [](const auto& e) { return is(e, KORTEX_E_STATE, "the agent has already been started"); });
}

BOOST_AUTO_TEST_CASE(that_cannot_be_run_is_named_with_the_reason) {
  Holder holder;
  session::Program program;
  program.argv = {"no-such-agent"};
  program.env = {"PATH=/usr/bin"};
  BOOST_CHECK_EXCEPTION(holder.client().start_agent(program), session::Error, [](const auto& e) {
    return is(e, KORTEX_E_FAILED, "cannot run 'no-such-agent': no such file or directory");
  });
  program.argv = {"/etc/passwd"};
  BOOST_CHECK_EXCEPTION(holder.client().start_agent(program), session::Error, [](const auto& e) {
    return is(e, KORTEX_E_FAILED, "cannot run '/etc/passwd': permission denied");
  });
  program.argv = {"sh"};
  program.cwd = "/no/such/place";
  BOOST_CHECK_EXCEPTION(holder.client().start_agent(program), session::Error, [](const auto& e) {
    return is(e, KORTEX_E_FAILED, "cannot run 'sh' in '/no/such/place': no such file or directory");
  });
  holder.start("exec sleep 60");  // and can be tried again
  BOOST_TEST((holder.client().status().agent == session::Status::Agent::running));
}

BOOST_AUTO_TEST_CASE(may_have_a_large_environment) {
  Holder holder;
  session::Program program;
  program.argv = {"/bin/sh", "-c", "echo ${#BIG}; exec sleep 60"};
  program.env = {"PATH=/usr/bin:/bin", "BIG=" + std::string(120000, 'x')};
  for (int i = 0; i < 1000; ++i) program.env.push_back("V" + std::to_string(i) + "=" + std::string(500, 'y'));
  holder.client().start_agent(program);
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("120000\r\n"));
}

BOOST_AUTO_TEST_CASE(status_is_told_and_recorded) {
  Holder holder;
  session::Client client = holder.client();
  BOOST_TEST((client.status().agent == session::Status::Agent::not_started));
  holder.start("echo ready; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  const session::Status status = client.status();
  BOOST_TEST((status.agent == session::Status::Agent::running));
  BOOST_TEST(status.viewers == 1U);
  BOOST_TEST(status.agent_pid == holder.status_file().agent_pid);
  BOOST_TEST(status.started_ms == holder.status_file().started_ms);
  BOOST_TEST(::kill(static_cast<pid_t>(status.agent_pid), 0) == 0);
}

BOOST_AUTO_TEST_CASE(output_is_logged_also_when_nobody_watches) {
  Holder holder;
  holder.start("echo into the log; exit 3");
  BOOST_TEST(holder.exit_code() == 3);
  std::string text;
  session::read_log((holder.directory / "output.0").string(), (holder.directory / "output.1").string(), -1,
                    [&](const char* data, std::size_t size) { return text.append(data, size), 0; });
  BOOST_TEST(text == "into the log\r\n");
}

BOOST_AUTO_TEST_CASE(following_begins_where_the_log_ends_whatever_comes_in_between) {
  Holder holder;
  const std::string fifo = (holder.directory / "fifo").string();
  BOOST_REQUIRE(::mkfifo(fifo.c_str(), 0600) == 0);
  // Open for as long as the test: a writer that came and went each time could be taken for one line and for an end.
  const kortex::Fd lines(::open(fifo.c_str(), O_RDWR | O_CLOEXEC));
  // Cut off within a control sequence: what is incomplete is neither lost nor shown twice.
  holder.start("printf 'before\\033[3'; read line < fifo; printf '1mbetween'; read line < fifo; printf after; read line < fifo");
  const auto log = [&](const session::LogEnd& end) {
    std::string text;
    session::read_log((holder.directory / "output.0").string(), (holder.directory / "output.1").string(), -1,
                      [&](const char* data, std::size_t size) { return text.append(data, size), 0; }, end);
    return text;
  };
  const auto go_on = [&] { BOOST_TEST(::write(lines.get(), "x\n", 2) == 2); };
  const auto wait_for = [&](const std::string& text) {
    Viewer viewer(holder);
    BOOST_REQUIRE(viewer.sees(text));
  };
  wait_for("before");
  Pipe pipe = Pipe::make();
  session::Streams streams;
  streams.out = pipe.write.get();
  std::string before;
  auto end = std::async(std::launch::async, [&] {
    return holder.client().follow(streams, [&](const session::LogEnd& now) {
      BOOST_TEST(now.known);
      go_on();
      wait_for("between");
      before = log(now);
      go_on();
    });
  });
  std::string live;
  char byte = 0;
  while (live.find("after") == std::string::npos && readable(pipe.read.get()) && ::read(pipe.read.get(), &byte, 1) == 1) live += byte;
  BOOST_TEST(before == "before\033[3");
  BOOST_TEST(live == "1mbetweenafter");
  go_on();
  BOOST_TEST(end.get().code == 0);
}

BOOST_AUTO_TEST_CASE(a_log_is_read_up_to_a_place_in_it) {
  const kortex::test::Sandbox sandbox;
  const std::string paths[] = {(sandbox / "0").string(), (sandbox / "1").string()};
  const auto read = [&](const std::string& first, const std::string& second, const session::LogEnd& end) {
    std::ofstream(paths[0]) << first;
    std::ofstream(paths[1]) << second;
    std::string text;
    session::read_log(paths[0], paths[1], -1, [&](const char* data, std::size_t size) { return text.append(data, size), 0; }, end);
    return text;
  };
  const std::string full(KORTEX_SESSION_LOG_MAX, 'f');
  BOOST_TEST(read("abcdef", "", {true, 0, 3}) == "abc");
  BOOST_TEST(read("abcdef", full, {true, 0, 3}) == full + "abc");
  BOOST_TEST(read(full, "abc", {true, 0, 5}) == "fffff");   // the second was begun afterwards
  BOOST_TEST(read("ab", full, {true, 0, 3}) == "");          // written over since
  BOOST_TEST(read(full, "abc", {true, 1, 2}) == full + "ab");
}

BOOST_AUTO_TEST_CASE(cannot_trace_the_holder) {
  Holder holder;
  holder.start("cat /proc/$PPID/environ >/dev/null 2>&1 && [ $(id -u) != 0 ] && echo readable; echo done; exec sleep 60");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("done"));
  BOOST_TEST(viewer.everything().find("readable") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
