#include "runtimes/process_runner.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <kortex/fd.hpp>
#include <vector>

using namespace kortex::host;

namespace {

struct Fixture {
  Fixture() {
    surroundings.fail = [this](kortex_status code, const std::string& text, const std::string&, const std::string&) {
      message = text;
      return code;
    };
    surroundings.started = [this](pid_t pid) { group = pid; };
    process.struct_size = sizeof process;
    process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
    result.struct_size = sizeof result;
  }
  kortex_status run(std::vector<const char*> argv) {
    argv.push_back(nullptr);
    process.argv = argv.data();
    runner = std::make_unique<ProcessRunner>(surroundings);
    return runner->run(process, &result);
  }
  kortex_status sh(const char* script) { return run({"sh", "-c", script}); }
  [[nodiscard]] std::string out() const { return {result.out, result.out_size}; }
  [[nodiscard]] std::string err() const { return {result.err, result.err_size}; }

  RunnerSurroundings surroundings;
  std::unique_ptr<ProcessRunner> runner;
  kortex_process process{};
  kortex_process_result result{};
  std::string message;
  pid_t group = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(process_runner, Fixture)

BOOST_AUTO_TEST_CASE(captures_both_streams_and_the_exit_status) {
  BOOST_TEST(sh("printf out; printf err >&2; exit 7") == KORTEX_OK);
  BOOST_TEST(out() == "out");
  BOOST_TEST(err() == "err");
  BOOST_TEST(result.exit_code == 7);
  BOOST_TEST(sh("kill -TERM $$") == KORTEX_OK);
  BOOST_TEST(result.exit_code == 128 + SIGTERM);
}

BOOST_AUTO_TEST_CASE(feeds_large_input_while_it_reads_output) {
  const std::string input(3 << 20, 'i');
  process.input = input.data();
  process.input_size = input.size();
  BOOST_TEST(run({"cat"}) == KORTEX_OK);
  BOOST_TEST((out() == input));
}

BOOST_AUTO_TEST_CASE(survives_a_program_that_does_not_read_its_input) {
  ::signal(SIGPIPE, SIG_IGN);
  const std::string input(3 << 20, 'i');
  process.input = input.data();
  process.input_size = input.size();
  BOOST_TEST(run({"true"}) == KORTEX_OK);
  BOOST_TEST(result.exit_code == 0);
}

BOOST_AUTO_TEST_CASE(gives_the_program_an_environment_a_directory_and_nothing_else) {
  ::setenv("KORTEX_TEST_OLD", "old", 1);
  const char* const env[] = {"KORTEX_TEST_OLD=new", "KORTEX_TEST_NEW=1", nullptr};
  process.env_add = env;
  process.cwd = "/usr";
  BOOST_TEST(sh("echo $KORTEX_TEST_OLD $KORTEX_TEST_NEW $PWD; cat; for n in 3 4 5 6 7 8 9; do test ! -e /proc/$$/fd/$n || echo open $n; done") == KORTEX_OK);
  BOOST_TEST(out() == "new 1 /usr\n");
}

BOOST_AUTO_TEST_CASE(merges_stderr_into_stdout) {
  process.flags = KORTEX_RUN_MERGE;
  BOOST_TEST(sh("echo a; echo b >&2; echo c") == KORTEX_OK);
  BOOST_TEST(out() == "a\nb\nc\n");
}

BOOST_AUTO_TEST_CASE(streams_output_and_stops_when_told) {
  process.flags = KORTEX_RUN_STREAM;
  std::size_t seen = 0;
  surroundings.output = [&](kortex_stream stream, std::string_view bytes) {
    BOOST_TEST(stream == KORTEX_STREAM_STDOUT);
    seen += bytes.size();
    return seen < 100000;
  };
  BOOST_TEST(run({"yes"}) == KORTEX_E_CANCELLED);
  BOOST_TEST(seen >= 100000u);
  BOOST_TEST(result.out_size == 0u);
}

BOOST_AUTO_TEST_CASE(says_what_is_not_installed) {
  BOOST_TEST(run({"no-such-program-at-all"}) == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(message == "'no-such-program-at-all' is not installed: it is nowhere in PATH");
  BOOST_TEST(run({"/etc/passwd"}) == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(message == "cannot run '/etc/passwd': it is not executable");
  process.cwd = "/no/such/place";
  BOOST_TEST(run({"true"}) == KORTEX_E_FAILED);
  BOOST_TEST(message == "cannot run 'true': no such file or directory");
}

BOOST_AUTO_TEST_CASE(ends_the_whole_group_in_time) {
  process.timeout_ms = 100;
  BOOST_TEST(sh("sleep 1000 & sleep 1000") == KORTEX_E_TIMEOUT);
  BOOST_TEST(message == "'sh' did not end in time");
  // Ended members of the group may still wait for init to reap them; none may run.
  process.timeout_ms = 0;  // that was the other program's; a busy machine needs longer to look
  BOOST_TEST(sh(("! ps -o stat= -g " + std::to_string(group) + " 2>/dev/null | grep -qv Z").c_str()) == KORTEX_OK);
}

BOOST_AUTO_TEST_CASE(kills_what_ignores_sigterm) {
  process.timeout_ms = 50;
  BOOST_TEST(sh("trap '' TERM; while :; do sleep 1000; done") == KORTEX_E_TIMEOUT);
  BOOST_TEST(result.exit_code == 128 + SIGKILL);
}

BOOST_AUTO_TEST_CASE(ends_when_cancelled) {
  kortex::Pipe cancel = kortex::Pipe::make();
  surroundings.cancel_fd = cancel.read.get();
  BOOST_TEST_REQUIRE(::write(cancel.write.get(), "", 1) == 1);
  BOOST_TEST(run({"sleep", "1000"}) == KORTEX_E_CANCELLED);
}

BOOST_AUTO_TEST_CASE(does_not_wait_for_what_a_program_leaves_behind) {
  BOOST_TEST(sh("sleep 1000 & echo $!") == KORTEX_OK);
  ::kill(std::stoi(out()), SIGKILL);
}

BOOST_AUTO_TEST_CASE(detaches_into_a_session_of_its_own) {
  process.flags = KORTEX_RUN_DETACH;
  BOOST_TEST(run({"sleep", "1000"}) == KORTEX_OK);
  const auto pid = static_cast<pid_t>(result.pid);
  BOOST_TEST(::getsid(pid) == pid);
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
}

BOOST_AUTO_TEST_CASE(passes_signals_on_to_a_foreground_program) {
  kortex::Pipe signals = kortex::Pipe::make();
  surroundings.signal_fd = signals.read.get();
  process.flags = KORTEX_RUN_FOREGROUND;
  const unsigned char number = SIGUSR1;
  BOOST_TEST_REQUIRE(::write(signals.write.get(), &number, 1) == 1);
  BOOST_TEST(run({"sleep", "1000"}) == KORTEX_OK);
  BOOST_TEST(result.exit_code == 128 + SIGUSR1);
}

BOOST_AUTO_TEST_SUITE_END()
