#include <boost/test/unit_test.hpp>
#include <sys/mman.h>
#include <thread>

#include "viewer.hpp"

using kortex::Fd;
using kortex::Pipe;
using kortex::test::Holder;
using kortex::test::Viewer;
namespace session = kortex::session;

namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr std::size_t bulk = 20 << 20;
#else
constexpr std::size_t bulk = 100 << 20;
#endif

struct Result {
  session::End end;
  std::string out, err;
};

std::string content(const Fd& file) {
  std::string text(static_cast<std::size_t>(::lseek(file.get(), 0, SEEK_END)), '\0');
  BOOST_REQUIRE(::pread(file.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  return text;
}

Fd file_with(const std::string& text) {
  Fd file(::memfd_create("test", MFD_CLOEXEC));
  for (std::size_t at = 0; at < text.size();) at += static_cast<std::size_t>(::write(file.get(), text.data() + at, text.size() - at));
  ::lseek(file.get(), 0, SEEK_SET);
  return file;
}

session::Program the(std::vector<std::string> argv) {
  session::Program p;
  p.argv = std::move(argv);
  return p;
}

Result run(const Holder& holder, const session::Program& p, const std::string& input = {}) {
  const Fd in = file_with(input), out = file_with({}), err = file_with({});
  session::Streams streams;
  streams.in = in.get();
  streams.out = out.get();
  streams.err = err.get();
  const session::End end = holder.client().run(p, streams);
  return {end, content(out), content(err)};
}

std::string noise(std::size_t size) {
  std::string bytes(size, '\0');
  std::uint32_t x = 1;
  for (char& c : bytes) c = static_cast<char>((x = x * 1664525 + 1013904223) >> 24);
  return bytes;
}

struct Running {
  Holder holder;
  Running() { holder.start("exec sleep 600"); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(program, Running)

BOOST_AUTO_TEST_CASE(has_streams_and_a_status_of_its_own) {
  const Result r = run(holder, the({"sh", "-c", "cat; echo problem >&2; exit 7"}), "input");
  BOOST_TEST(r.out == "input");
  BOOST_TEST(r.err == "problem\n");
  BOOST_TEST(r.end.how == KORTEX_END_EXITED);
  BOOST_TEST(r.end.code == 7);
}

BOOST_AUTO_TEST_CASE(ended_by_a_signal_has_128_and_its_number) {
  BOOST_TEST(run(holder, the({"sh", "-c", "kill -TERM $$"})).end.code == 128 + SIGTERM);
}

BOOST_AUTO_TEST_CASE(that_cannot_be_run_has_127_or_126_and_says_why) {
  Result r = run(holder, the({"no-such-program"}));
  BOOST_TEST(r.end.code == 127);
  BOOST_TEST(r.err == "kortex-session: cannot run 'no-such-program': no such file or directory\n");
  r = run(holder, the({"/etc/passwd"}));
  BOOST_TEST(r.end.code == 126);
  BOOST_TEST(r.err == "kortex-session: cannot run '/etc/passwd': permission denied\n");
}

BOOST_AUTO_TEST_CASE(has_the_agents_environment_and_directory_with_additions) {
  session::Program p = the({"sh", "-c", "echo $FROM_AGENT $TERM $MORE; pwd"});
  p.env = {"TERM=dumb", "MORE=added"};
  BOOST_TEST(run(holder, p).out == "yes dumb added\n" + holder.directory.string() + "\n");
  p.cwd = "/usr";
  BOOST_TEST(run(holder, p).out == "yes dumb added\n/usr\n");
}

BOOST_AUTO_TEST_CASE(passes_bulk_data_both_ways_unchanged) {
  const std::string bytes = noise(bulk);
  const Result r = run(holder, the({"cat"}), bytes);
  BOOST_TEST(r.end.code == 0);
  BOOST_TEST((r.out == bytes));
}

BOOST_AUTO_TEST_CASE(that_does_not_read_its_input_can_still_be_signalled) {
  Pipe in = Pipe::make(), signals = Pipe::make();
  session::Streams streams;
  streams.in = in.read.get();
  streams.signal_fd = signals.read.get();
  std::thread feeder([&] {
    const std::string bytes(4 << 20, 'x');
    sigset_t pipe;
    ::sigemptyset(&pipe);
    ::sigaddset(&pipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    std::size_t at = 0;
    for (ssize_t n = 1; n > 0 && at < (std::size_t{1} << 20) + 65536; at += static_cast<std::size_t>(n))
      n = ::write(in.write.get(), bytes.data(), 65536);
    const char number = SIGINT;
    BOOST_TEST(::write(signals.write.get(), &number, 1) == 1);
  });
  const session::End end = holder.client().run(the({"sleep", "600"}), streams);
  in.read.reset();
  feeder.join();
  BOOST_TEST(end.code == 128 + SIGINT);
}

BOOST_AUTO_TEST_CASE(that_closes_its_input_early_is_not_waited_for) {
  BOOST_TEST(run(holder, the({"head", "-c", "3"}), noise(8 << 20)).out.size() == 3U);
}

BOOST_AUTO_TEST_CASE(learns_that_nobody_reads_its_output) {
  Pipe out = Pipe::make();
  out.read.reset();
  session::Streams streams;
  streams.out = out.write.get();
  BOOST_TEST(holder.client().run(the({"yes"}), streams).code == 128 + SIGPIPE);
}

BOOST_AUTO_TEST_CASE(is_not_waited_for_when_only_a_grandchild_keeps_its_output_open) {
  const Result r = run(holder, the({"sh", "-c", "sleep 600 & echo done"}));
  BOOST_TEST(r.end.code == 0);
  BOOST_TEST(r.out == "done\n");
}

BOOST_AUTO_TEST_CASE(output_is_complete_when_another_process_writes_its_end) {
  const Result r = run(holder, the({"bash", "-c", "exec > >(cat); seq 20000"}));
  BOOST_TEST(r.out.size() == 108894U);
}

BOOST_AUTO_TEST_CASE(slow_reader_gets_everything) {
  Pipe out = Pipe::make();
  session::Streams streams;
  streams.out = out.write.get();
  std::future<session::End> end = std::async(std::launch::async, [&] {
    const session::End e = holder.client().run(the({"seq", "200000"}), streams);
    out.write.reset();
    return e;
  });
  std::string text;
  char part[1000];
  for (ssize_t n; (n = ::read(out.read.get(), part, sizeof part)) > 0;) text.append(part, static_cast<std::size_t>(n));
  BOOST_TEST(end.get().code == 0);
  BOOST_TEST(text.size() == 1288895U);
}

BOOST_AUTO_TEST_CASE(on_a_terminal_has_its_size_and_ends_at_the_end_of_input) {
  Viewer viewer(holder, 33, 99, [](session::Client& c, const session::Streams& s) {
    session::Program p = the({"sh", "-c", "stty size; cat; echo over"});
    p.tty = true;
    return c.run(p, s);
  });
  BOOST_TEST(viewer.sees("33 99\r\n"));
  viewer.types("line\r");
  BOOST_TEST(viewer.sees("line\r\nline\r\n"));
  viewer.types("\x04");
  BOOST_TEST(viewer.sees("over"));
  BOOST_TEST(viewer.end().code == 0);
}

BOOST_AUTO_TEST_CASE(on_a_terminal_with_piped_input_sees_its_end_even_within_a_line) {
  session::Program p = the({"cat"});
  p.tty = true;
  const Result r = run(holder, p, "no newline");
  BOOST_TEST(r.end.code == 0);
  BOOST_TEST(r.out == "no newlineno newline");
}

BOOST_AUTO_TEST_CASE(is_ended_when_its_client_vanishes) {
  Pipe alive = Pipe::make();  // inherited by the program's tree through a file: end of file when all are gone
  const std::string fifo = (holder.directory / "fifo").string();
  BOOST_REQUIRE(run(holder, the({"mkfifo", fifo})).end.code == 0);
  const Fd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Pipe cancel = Pipe::make();
  session::Streams streams;
  streams.cancel_fd = cancel.read.get();
  std::future<void> end = std::async(std::launch::async, [&] {
    BOOST_CHECK_EXCEPTION((void)holder.client().run(the({"sh", "-c", "exec >" + fifo + "; trap '' HUP; echo up; sleep 600 & sleep 600; sleep 600"}), streams),
                          session::Error, [](const session::Error& e) { return e.code == KORTEX_E_CANCELLED; });
  });
  BOOST_REQUIRE(kortex::test::readable(reader.get()));
  char byte[8];
  BOOST_REQUIRE(::read(reader.get(), byte, sizeof byte) == 3);
  cancel.write.reset();
  end.get();
  BOOST_REQUIRE(kortex::test::readable(reader.get()));
  BOOST_TEST(::read(reader.get(), byte, sizeof byte) == 0);  // nobody holds the other end
  BOOST_TEST((holder.client().status().agent == session::Status::Agent::running));
}

BOOST_AUTO_TEST_CASE(needs_a_running_agent) {
  Holder idle;
  BOOST_CHECK_EXCEPTION(run(idle, the({"true"})), session::Error, [](const session::Error& e) {
    return e.code == KORTEX_E_STATE && std::string(e.what()) == "the agent has not been started";
  });
}

BOOST_AUTO_TEST_SUITE_END()
