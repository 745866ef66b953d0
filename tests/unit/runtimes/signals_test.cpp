// The user's signals while a plugin works. Each case runs in a forked child, so that a signal that is not handled
// ends that child and not the tests.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <kortex/fd.hpp>

#include "fixture.hpp"

using namespace kortex::host;
using namespace kortex::test;
using namespace std::chrono_literals;

namespace {

/// A process that performs an operation; says when the plugin is at it, and then what came of it.
class Actor {
 public:
  explicit Actor(const std::function<std::string(Misbehaving&)>& act, const std::string& fault) : m_plugin(fault) {
    kortex::Pipe pipe = kortex::Pipe::make();
    m_pid = ::fork();
    BOOST_TEST_REQUIRE(m_pid >= 0);
    if (m_pid == 0) {
      ::setpgid(0, 0);
      const int report = pipe.write.get();
      m_plugin.on_log = [report] { say(report, "+"); };
      std::string ended = "nothing";
      try {
        ended = act(m_plugin);
      } catch (const Error& error) {
        ended = std::to_string(static_cast<int>(error.kind())) + " " + error.message();
      }
      say(report, ended);
      ::_exit(0);
    }
    m_report = std::move(pipe.read);
    BOOST_TEST_REQUIRE(read() == "+");
  }
  ~Actor() {
    ::kill(-m_pid, SIGKILL);
    ::waitpid(m_pid, nullptr, 0);
  }
  void send(int signal) const { BOOST_TEST_REQUIRE(::kill(m_pid, signal) == 0); }
  /// What it says next; "" when it and everything it started has ended.
  std::string read() const {
    pollfd poll{m_report.get(), POLLIN, 0};
    BOOST_TEST_REQUIRE(::poll(&poll, 1, 30000) == 1);
    char buffer[512];
    const ssize_t n = ::read(m_report.get(), buffer, sizeof buffer);
    return {buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
  }

 private:
  static void say(int to, const std::string& text) { BOOST_TEST_REQUIRE(::write(to, text.data(), text.size()) > 0); }
  Misbehaving m_plugin;
  pid_t m_pid = -1;
  kortex::Fd m_report;
};

std::string create(Misbehaving& plugin) { return plugin.create(0ms).id; }

std::string exec(Misbehaving& plugin) {
  ExecRequest request;
  request.argv = {"true"};
  return "code " + std::to_string(plugin.runtime.exec(plugin.ref, plugin.workspace, request).code);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(signals)

BOOST_AUTO_TEST_CASE(interrupt_cancels_the_call) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    const Actor actor(create, "hang");
    actor.send(signal);
    BOOST_TEST(actor.read() == "130 create was cancelled");
  }
}

BOOST_AUTO_TEST_CASE(second_interrupt_kills_a_deaf_plugin_at_once) {
  const Actor actor(create, "deaf");
  const auto begin = std::chrono::steady_clock::now();
  actor.send(SIGINT);
  // Two pending signals of one number are one: the first must be taken before the second is sent.
  actor.send(SIGTERM);
  pollfd nothing{-1, 0, 0};
  ::poll(&nothing, 1, 200);
  actor.send(SIGINT);
  BOOST_TEST(actor.read() == "130 create was interrupted before runtime 'misbehaving' 1.2.3 had ended it");
  BOOST_TEST((std::chrono::steady_clock::now() - begin < 5s));
}

BOOST_AUTO_TEST_CASE(child_ends_when_its_parent_is_killed) {
  {
    const Actor actor(create, "hang");
    actor.send(SIGKILL);
    // The plugin's process holds the report pipe too: its end shows that it has gone.
    BOOST_TEST(actor.read() == "");
  }
  {
    const Actor actor(create, "deaf");
    actor.send(SIGKILL);
    BOOST_TEST(actor.read() == "");
  }
}

BOOST_AUTO_TEST_CASE(exec_without_a_terminal_passes_signals_to_the_program) {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2}) {
    const Actor actor(exec, "one-signal");
    actor.send(signal);
    BOOST_TEST(actor.read() == "code " + std::to_string(128 + signal));
  }
}

BOOST_AUTO_TEST_CASE(exec_runs_on_our_streams_and_returns_the_status) {
  Misbehaving plugin("");
  Sandbox sandbox;
  ExecRequest request;
  request.argv = {"sh", "-c", "cat; echo err >&2; exit 42"};
  const pid_t pid = ::fork();
  if (pid == 0) {
    std::ofstream(sandbox / "in") << "hello\n";
    ::dup2(::open((sandbox / "in").c_str(), O_RDONLY), 0);
    ::dup2(::open((sandbox / "out").c_str(), O_WRONLY | O_CREAT, 0600), 1);
    ::dup2(::open((sandbox / "err").c_str(), O_WRONLY | O_CREAT, 0600), 2);
    const ExecEnd end = plugin.runtime.exec(plugin.ref, plugin.workspace, request);
    ::_exit(end.how == ExecEnd::How::exited ? end.code : 99);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 42));
  std::string out, err;
  std::getline(std::ifstream(sandbox / "out"), out);
  std::getline(std::ifstream(sandbox / "err"), err);
  BOOST_TEST(out == "hello");
  BOOST_TEST(err == "err");
}

BOOST_AUTO_TEST_CASE(plugin_output_never_reaches_our_stdout) {
  Misbehaving plugin("prints");
  Sandbox sandbox;
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::dup2(::open((sandbox / "out").c_str(), O_WRONLY | O_CREAT, 0600), 1);
    ::dup2(1, 2);
    ::_exit(plugin.create().id == "an-id" ? 0 : 1);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(std::filesystem::file_size(sandbox / "out") == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
