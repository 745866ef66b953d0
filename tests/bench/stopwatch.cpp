#include "stopwatch.hpp"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <system_error>

#include <kortex/fd.hpp>

extern char** environ;

namespace kortex::bench {
namespace {

using Clock = std::chrono::steady_clock;

double since(Clock::time_point start) { return std::chrono::duration<double, std::micro>(Clock::now() - start).count(); }

/// Prepared outside of what is measured.
class Spawn {
 public:
  explicit Spawn(const Command& command) : m_command(command) {
    for (std::string& word : m_command) m_argv.push_back(word.data());
    m_argv.push_back(nullptr);
    posix_spawn_file_actions_init(&m_actions);
    posix_spawn_file_actions_addopen(&m_actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&m_actions, 1, "/dev/null", O_WRONLY, 0);
  }
  Spawn(const Spawn&) = delete;
  Spawn& operator=(const Spawn&) = delete;
  ~Spawn() { posix_spawn_file_actions_destroy(&m_actions); }

  void start() {
    const int error = posix_spawnp(&m_pid, m_argv[0], &m_actions, nullptr, m_argv.data(), environ);
    if (error != 0) throw std::system_error(error, std::generic_category(), m_command[0]);
  }
  void wait() const {
    int status = 0;
    while (::waitpid(m_pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (status == 0) return;
    std::string text;
    for (const std::string& word : m_command) text += word + ' ';
    throw std::runtime_error(text + "ended with status " + std::to_string(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status)));
  }

 private:
  Command m_command;
  std::vector<char*> m_argv;
  posix_spawn_file_actions_t m_actions{};
  pid_t m_pid = 0;
};

}  // namespace

double run(const Command& command) {
  Spawn spawn(command);
  const auto start = Clock::now();
  spawn.start();
  spawn.wait();
  return since(start);
}

double run_until_byte(const Command& command, const std::string& first_byte) {
  const Fd fifo(::open(first_byte.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  Spawn spawn(command);
  const auto start = Clock::now();
  spawn.start();
  pollfd wanted{fifo.get(), POLLIN, 0};
  if (::poll(&wanted, 1, 30'000) != 1) throw std::runtime_error(command[0] + ": its program wrote nothing within 30 s");
  const double taken = since(start);
  spawn.wait();
  return taken;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

Pair compare(int count, const std::function<double()>& a, const std::function<double()>& b) {
  std::vector<double> of_a, of_b;
  a();
  b();
  for (int i = 0; i < count; ++i) {
    of_a.push_back(a());
    of_b.push_back(b());
  }
  return {median(of_a), median(of_b)};
}

}  // namespace kortex::bench
