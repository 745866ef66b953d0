#include "programs.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <vector>

#include <kortex/fd.hpp>

#include "pidfd.hpp"

extern char** environ;

namespace kortex::check {
namespace {

constexpr std::int64_t term_grace_ms = 1000;

std::string look_up(const std::string& name) {
  if (name.find('/') != std::string::npos) return ::access(name.c_str(), X_OK) == 0 ? name : std::string();
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(':'), rest.size());
    std::string file = std::string(rest.substr(0, end)) + "/" + name;
    if (file.front() == '/' && ::access(file.c_str(), X_OK) == 0) return file;
    rest.remove_prefix(std::min(rest.size(), end + 1));
  }
  return {};
}

std::vector<std::string> environment_with(const char* const* additions) {
  std::vector<std::string> out;
  for (; additions != nullptr && *additions != nullptr; ++additions) out.emplace_back(*additions);
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view key = std::string_view(*entry).substr(0, std::string_view(*entry).find('='));
    if (std::none_of(out.begin(), out.end(), [&](const std::string& given) { return given.substr(0, given.find('=')) == key; }))
      out.emplace_back(*entry);
  }
  return out;
}

/// One program, from its start to its end.
class Run {
 public:
  Run(const Programs::Surroundings& surroundings, const kortex_process& process) : m_surroundings(surroundings), m_process(process) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (m_pid <= 0 || has(KORTEX_RUN_DETACH) || m_ended) return;
    ::kill(-m_pid, SIGKILL);
    ::waitpid(m_pid, nullptr, 0);
  }

  kortex_status start() {
    const std::string file = look_up(m_process.argv[0]);
    if (file.empty()) return m_surroundings.fail(KORTEX_E_UNAVAILABLE, std::string("'") + m_process.argv[0] + "' is not installed");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    connect(actions, 0, m_process.stdin_fd, m_surroundings.in, m_process.input != nullptr ? &m_in : nullptr);
    connect(actions, 1, m_process.stdout_fd, m_surroundings.out, &m_out);
    if (has(KORTEX_RUN_MERGE) && m_process.stderr_fd < 0)
      ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    else
      connect(actions, 2, m_process.stderr_fd, m_surroundings.err, &m_err);
    ::posix_spawn_file_actions_addchdir_np(&actions, m_process.cwd == nullptr ? "/" : m_process.cwd);
    ::posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes, &none);
    ::posix_spawnattr_setsigdefault(&attributes, &all);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    ::posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                                               (has(KORTEX_RUN_DETACH) ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP)));
    std::vector<std::string> environment = environment_with(m_process.env_add);
    std::vector<char*> env;
    for (std::string& entry : environment) env.push_back(entry.data());
    env.push_back(nullptr);
    const int error = ::posix_spawn(&m_pid, file.c_str(), &actions, &attributes, const_cast<char* const*>(m_process.argv), env.data());
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
    m_theirs.clear();
    if (error == 0 && !has(KORTEX_RUN_DETACH)) m_surroundings.started(m_pid);
    if (error == 0) return KORTEX_OK;
    m_pid = -1;
    return m_surroundings.fail(KORTEX_E_FAILED, std::string("cannot run '") + m_process.argv[0] + "': " + std::strerror(error));
  }

  kortex_status wait() {
    const Fd ended(::pidfd_open(m_pid, 0));
    std::int64_t until = m_surroundings.deadline_ms;
    if (m_process.timeout_ms > 0) {
      const std::int64_t own = monotonic_ms() + m_process.timeout_ms;
      until = until < 0 ? own : std::min(until, own);
    }
    kortex_status outcome = KORTEX_OK;
    std::int64_t kill_at = -1;
    const auto stop = [&](kortex_status why) {
      if (outcome != KORTEX_OK) return;
      outcome = why;
      kill_at = monotonic_ms() + term_grace_ms;
      ::kill(-m_pid, SIGTERM);
    };
    for (;;) {
      std::array<pollfd, 6> fds{{{ended.get(), POLLIN, 0},
                                 {m_out.get(), POLLIN, 0},
                                 {m_err.get(), POLLIN, 0},
                                 {m_in.get(), POLLOUT, 0},
                                 {outcome == KORTEX_OK ? m_surroundings.cancel_fd : -1, POLLIN, 0},
                                 {has(KORTEX_RUN_FOREGROUND) ? m_surroundings.signal_fd : -1, POLLIN, 0}}};
      const std::int64_t next = outcome == KORTEX_OK ? until : kill_at;
      const int patience = next < 0 ? -1 : static_cast<int>(std::clamp<std::int64_t>(next - monotonic_ms(), 0, 1000000));
      if (::poll(fds.data(), fds.size(), patience) < 0 && errno != EINTR) return KORTEX_E_FAILED;
      if (fds[1].revents != 0) drain(m_out, KORTEX_STREAM_STDOUT, m_out_text);
      if (fds[2].revents != 0) drain(m_err, KORTEX_STREAM_STDERR, m_err_text);
      if (fds[3].revents != 0) feed();
      if (fds[4].revents != 0) stop(KORTEX_E_CANCELLED);
      if (fds[5].revents != 0) {
        unsigned char number = 0;
        if (::read(m_surroundings.signal_fd, &number, 1) == 1) ::kill(-m_pid, number);
      }
      if (fds[0].revents != 0) break;
      if (next >= 0 && monotonic_ms() >= next) {
        if (outcome == KORTEX_OK)
          stop(KORTEX_E_TIMEOUT);
        else
          ::kill(-m_pid, SIGKILL), kill_at = -1;
      }
    }
    int status = 0;
    ::waitpid(m_pid, &status, 0);
    m_ended = true;
    m_surroundings.ended(m_pid);
    m_exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    while (drain(m_out, KORTEX_STREAM_STDOUT, m_out_text)) continue;
    while (drain(m_err, KORTEX_STREAM_STDERR, m_err_text)) continue;
    if (outcome == KORTEX_E_TIMEOUT) return m_surroundings.fail(outcome, std::string("'") + m_process.argv[0] + "' did not end in time");
    return outcome;
  }

  [[nodiscard]] pid_t pid() const { return m_pid; }
  [[nodiscard]] int exit_code() const { return m_exit_code; }
  [[nodiscard]] const std::string& out() const { return m_out_text; }
  [[nodiscard]] const std::string& err() const { return m_err_text; }

 private:
  [[nodiscard]] bool has(std::uint32_t flag) const { return (m_process.flags & flag) != 0; }

  /// `ours` becomes our end of a pipe where the program gets no other file.
  void connect(posix_spawn_file_actions_t& actions, int target, int given, int terminal, Fd* ours) {
    int fd = given;
    if (fd < 0 && has(KORTEX_RUN_FOREGROUND) && !(target == 0 && m_process.input != nullptr)) fd = terminal;
    if (fd < 0 && ours != nullptr && (target == 0 || !(has(KORTEX_RUN_DETACH) || has(KORTEX_RUN_FOREGROUND)))) {
      Pipe pipe = Pipe::make();
      *ours = std::move(target == 0 ? pipe.write : pipe.read);
      ::fcntl(ours->get(), F_SETFL, O_NONBLOCK);
      m_theirs.push_back(std::move(target == 0 ? pipe.read : pipe.write));
      fd = m_theirs.back().get();
    }
    if (fd < 0) {
      ::posix_spawn_file_actions_addopen(&actions, target, "/dev/null", target == 0 ? O_RDONLY : O_WRONLY, 0);
      return;
    }
    // Away from 0..2, so that no dup2 overwrites another's source.
    m_theirs.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    ::posix_spawn_file_actions_adddup2(&actions, m_theirs.back().get(), target);
  }

  bool drain(Fd& from, kortex_stream stream, std::string& text) {
    std::array<char, 65536> bytes;
    if (!from) return false;
    const ssize_t n = ::read(from.get(), bytes.data(), bytes.size());
    if (n < 0) return errno == EINTR;
    if (n == 0) {
      from.reset();
      return false;
    }
    const std::string_view got(bytes.data(), static_cast<std::size_t>(n));
    if (has(KORTEX_RUN_STREAM))
      (void)m_surroundings.output(stream, got);
    else
      text += got;
    return true;
  }

  void feed() {
    const ssize_t n = ::write(m_in.get(), m_process.input + m_fed, m_process.input_size - m_fed);
    if (n > 0) m_fed += static_cast<std::size_t>(n);
    if ((n < 0 && errno != EAGAIN && errno != EINTR) || m_fed == m_process.input_size) m_in.reset();
  }

  const Programs::Surroundings& m_surroundings;
  const kortex_process& m_process;
  pid_t m_pid = -1;
  Fd m_in, m_out, m_err;
  std::vector<Fd> m_theirs;
  std::string m_out_text, m_err_text;
  std::size_t m_fed = 0;
  int m_exit_code = -1;
  bool m_ended = false;
};

}  // namespace

std::int64_t monotonic_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

kortex_status Programs::run(const kortex_process& process, kortex_process_result* result) {
  if (process.argv == nullptr || process.argv[0] == nullptr) return m_surroundings.fail(KORTEX_E_INTERNAL, "run() was called without a program");
  Run run(m_surroundings, process);
  kortex_status status = run.start();
  if (status == KORTEX_OK && (process.flags & KORTEX_RUN_DETACH) == 0) status = run.wait();
  if (result == nullptr) return status;
  const std::string& out = m_captured.emplace_back(run.out());
  const std::string& err = m_captured.emplace_back(run.err());
  result->exit_code = run.exit_code();
  result->pid = run.pid();
  result->out = out.c_str();
  result->out_size = out.size();
  result->err = err.c_str();
  result->err_size = err.size();
  return status;
}

}  // namespace kortex::check
