#include "runtimes/process_runner.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <vector>

#include <kortex/fd.hpp>

#include "system/error.hpp"
#include "system/pidfd.hpp"

extern char** environ;

namespace kortex::host {
namespace {

constexpr std::int64_t term_grace_ms = 1000;
constexpr std::size_t chunk_size = 64 * 1024;

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

/// The file that `name` runs, as a shell would find it; empty: none, with the reason in `error`.
std::string look_up(const std::string& name, int& error) {
  error = ENOENT;
  const auto usable = [&](const std::string& file) {
    struct stat status {};
    if (::stat(file.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return false;
    if (::access(file.c_str(), X_OK) == 0) return true;
    error = EACCES;
    return false;
  };
  if (name.find('/') != std::string::npos) return usable(name) ? name : std::string();
  const char* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "/usr/local/bin:/usr/bin:/bin" : path;
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    more = colon != std::string_view::npos;
    const std::string_view directory = rest.substr(0, colon);
    if (more) rest.remove_prefix(colon + 1);
    if (directory.empty() || directory.front() != '/') continue;  // never from the sources' directory
    if (std::string file = std::string(directory) + "/" + name; usable(file)) return file;
  }
  return {};
}

std::vector<std::string> environment_with(const char* const* additions) {
  std::vector<std::string> environment;
  const auto key_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) environment.emplace_back(*entry);
  for (; additions != nullptr && *additions != nullptr; ++additions) {
    const std::string_view key = key_of(*additions);
    const auto same = std::find_if(environment.begin(), environment.end(),
                                   [&](const std::string& entry) { return key_of(entry) == key; });
    if (same == environment.end())
      environment.emplace_back(*additions);
    else
      *same = *additions;
  }
  return environment;
}

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&m_actions); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  ~FileActions() { ::posix_spawn_file_actions_destroy(&m_actions); }
  posix_spawn_file_actions_t* get() { return &m_actions; }

 private:
  posix_spawn_file_actions_t m_actions;
};

class Attributes {
 public:
  Attributes() { ::posix_spawnattr_init(&m_attributes); }
  Attributes(const Attributes&) = delete;
  Attributes& operator=(const Attributes&) = delete;
  ~Attributes() { ::posix_spawnattr_destroy(&m_attributes); }
  posix_spawnattr_t* get() { return &m_attributes; }

 private:
  posix_spawnattr_t m_attributes;
};

/// Makes a program's group the foreground one of the terminal, so that ctrl-c and ctrl-z are the program's, and takes the
/// terminal back.
class TerminalLease {
 public:
  TerminalLease(int terminal, pid_t group) : m_terminal(terminal), m_group(group) {
    if (m_terminal < 0 || ::tcgetpgrp(m_terminal) != ::getpgrp()) m_terminal = -1;
    give();
  }
  TerminalLease(const TerminalLease&) = delete;
  TerminalLease& operator=(const TerminalLease&) = delete;
  ~TerminalLease() { take(); }
  void give() const {
    if (m_terminal >= 0) set_foreground(m_group);
  }
  void take() const {
    if (m_terminal >= 0) set_foreground(::getpgrp());
  }

 private:
  /// From the background, tcsetpgrp stops its caller unless SIGTTOU is blocked.
  void set_foreground(pid_t group) const {
    sigset_t block, before;
    sigemptyset(&block);
    sigaddset(&block, SIGTTOU);
    ::pthread_sigmask(SIG_BLOCK, &block, &before);
    ::tcsetpgrp(m_terminal, group);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  int m_terminal;
  pid_t m_group;
};

/// One run of one program, from spawn to its end.
class Run {
 public:
  Run(const RunnerSurroundings& surroundings, const kortex_process& process)
      : m_surroundings(surroundings), m_process(process), m_name(process.argv[0]) {}
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run() {
    if (m_pid <= 0 || has(KORTEX_RUN_DETACH)) return;
    if (!m_reaped) {
      ::kill(-m_pid, SIGKILL);
      ::kill(m_pid, SIGKILL);
      while (::waitpid(m_pid, nullptr, 0) < 0 && errno == EINTR) {}
    }
    if (m_surroundings.ended) m_surroundings.ended(m_pid);
  }

  kortex_status spawn() {
    int reason = 0;
    const std::string file = look_up(m_name, reason);
    if (file.empty()) {
      if (reason == EACCES)
        return fail(KORTEX_E_UNAVAILABLE, "cannot run '" + m_name + "': it is not executable");
      return fail(KORTEX_E_UNAVAILABLE, m_name.find('/') == std::string::npos
                                            ? "'" + m_name + "' is not installed: it is nowhere in PATH"
                                            : "'" + m_name + "' is not installed");
    }
    FileActions actions;
    if (const int error = connect_streams(actions); error != 0) return fail_to_run(error);
    ::posix_spawn_file_actions_addchdir_np(actions.get(), m_process.cwd == nullptr ? "/" : m_process.cwd);
    ::posix_spawn_file_actions_addclosefrom_np(actions.get(), 3);

    Attributes attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    ::posix_spawnattr_setsigmask(attributes.get(), &none);
    ::posix_spawnattr_setsigdefault(attributes.get(), &all);
    short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (has(KORTEX_RUN_DETACH)) {
      flags |= POSIX_SPAWN_SETSID;
    } else {
      flags |= POSIX_SPAWN_SETPGROUP;
      ::posix_spawnattr_setpgroup(attributes.get(), 0);
    }
    ::posix_spawnattr_setflags(attributes.get(), flags);

    std::vector<std::string> environment = environment_with(m_process.env_add);
    std::vector<char*> env;
    for (std::string& entry : environment) env.push_back(entry.data());
    env.push_back(nullptr);
    const int error = ::posix_spawn(&m_pid, file.c_str(), actions.get(), attributes.get(),
                                    const_cast<char* const*>(m_process.argv), env.data());
    m_child_ends.clear();
    if (error != 0) {
      m_pid = -1;
      return fail_to_run(error);
    }
    if (has(KORTEX_RUN_DETACH)) return KORTEX_OK;
    if (m_surroundings.started) m_surroundings.started(m_pid);
    m_pidfd.reset(::pidfd_open(m_pid, 0));
    return m_pidfd ? KORTEX_OK : fail_to_run(errno);
  }

  /// Until the program has ended and what it wrote is read.
  kortex_status wait() {
    const TerminalLease lease(foreground_terminal(), m_pid);
    std::int64_t end = m_surroundings.deadline_ms;
    if (m_process.timeout_ms > 0) {
      const std::int64_t own = now_ms() + m_process.timeout_ms;
      end = end < 0 ? own : std::min(end, own);
    }
    std::int64_t kill_at = -1;
    kortex_status outcome = KORTEX_OK;
    const auto stop = [&](kortex_status why) {
      if (outcome != KORTEX_OK) return;
      outcome = why;
      kill_at = now_ms() + term_grace_ms;
      ::kill(-m_pid, SIGTERM);
      ::kill(-m_pid, SIGCONT);
    };
    for (;;) {
      enum { process, out, err, in, cancel, signals, count };
      std::array<pollfd, count> fds{};
      fds[process] = {m_pidfd.get(), POLLIN, 0};
      fds[out] = {m_out.get(), POLLIN, 0};
      fds[err] = {m_err.get(), POLLIN, 0};
      fds[in] = {m_in.get(), POLLOUT, 0};
      fds[cancel] = {outcome == KORTEX_OK ? m_surroundings.cancel_fd : -1, POLLIN, 0};
      fds[signals] = {has(KORTEX_RUN_FOREGROUND) && !m_signals_ended ? m_surroundings.signal_fd : -1, POLLIN, 0};
      const std::int64_t next = outcome == KORTEX_OK ? end : kill_at;
      const int timeout =
          next < 0 ? -1 : static_cast<int>(std::clamp<std::int64_t>(next - now_ms(), 0, 24 * 3600 * 1000));
      if (::poll(fds.data(), fds.size(), timeout) < 0) {
        if (errno == EINTR) continue;
        return fail_to_run(errno);
      }
      if (fds[out].revents != 0 && !drain(m_out, KORTEX_STREAM_STDOUT, false)) stop(m_stop_reason);
      if (fds[err].revents != 0 && !drain(m_err, KORTEX_STREAM_STDERR, false)) stop(m_stop_reason);
      if (fds[in].revents != 0) feed();
      if (fds[signals].revents != 0) pass_signals();
      if (fds[cancel].revents != 0) stop(KORTEX_E_CANCELLED);
      if (fds[process].revents != 0) break;
      if (next >= 0 && now_ms() >= next) {
        if (outcome == KORTEX_OK) {
          stop(KORTEX_E_TIMEOUT);
        } else {
          ::kill(-m_pid, SIGKILL);
          kill_at = -1;
        }
      }
    }
    reap();
    // Whatever it left running in its group goes with it when it was to be stopped.
    if (outcome != KORTEX_OK) ::kill(-m_pid, SIGKILL);
    // What is in the pipes is its output; what a process that it left behind writes later is not.
    if (!drain(m_out, KORTEX_STREAM_STDOUT, true) && outcome == KORTEX_OK) outcome = m_stop_reason;
    if (!drain(m_err, KORTEX_STREAM_STDERR, true) && outcome == KORTEX_OK) outcome = m_stop_reason;
    if (outcome == KORTEX_E_TIMEOUT) return fail(outcome, "'" + m_name + "' did not end in time");
    if (outcome == KORTEX_E_RESOURCE) return fail(outcome, "'" + m_name + "' printed more than 64 MiB");
    return outcome;
  }

  [[nodiscard]] pid_t pid() const { return m_pid; }
  [[nodiscard]] int exit_code() const { return m_exit_code; }
  std::string& out_text() { return m_out_text; }
  std::string& err_text() { return m_err_text; }

 private:
  [[nodiscard]] bool has(std::uint32_t flag) const { return (m_process.flags & flag) != 0; }

  kortex_status fail(kortex_status code, const std::string& message) const {
    return m_surroundings.fail ? m_surroundings.fail(code, message, "", m_err_text) : code;
  }
  kortex_status fail_to_run(int error) const {
    const kortex_status code = error == EACCES || error == EPERM ? KORTEX_E_PERMISSION
                               : error == ENOMEM || error == EAGAIN ? KORTEX_E_RESOURCE
                                                                    : KORTEX_E_FAILED;
    return fail(code, "cannot run '" + m_name + "': " + reason_of(error));
  }

  /// A descriptor for the program that is not one of 0..2, so that no dup2 overwrites another's source.
  int lend(FileActions& actions, int fd, int target) {
    Fd high(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
    if (!high) return errno;
    ::posix_spawn_file_actions_adddup2(actions.get(), high.get(), target);
    m_child_ends.push_back(std::move(high));
    return 0;
  }

  int connect_streams(FileActions& actions) {
    const bool foreground = has(KORTEX_RUN_FOREGROUND), detach = has(KORTEX_RUN_DETACH);
    const std::array<int, 3> given{m_process.stdin_fd, m_process.stdout_fd, m_process.stderr_fd};
    const std::array<int, 3> terminal{m_surroundings.terminal_in, m_surroundings.terminal_out,
                                      m_surroundings.terminal_err};
    for (int target = 0; target < 3; ++target) {
      int fd = given[static_cast<std::size_t>(target)];
      if (fd < 0 && foreground && !(target == 0 && m_process.input != nullptr))
        fd = terminal[static_cast<std::size_t>(target)];
      if (target == 2 && has(KORTEX_RUN_MERGE) && given[2] < 0) {
        ::posix_spawn_file_actions_adddup2(actions.get(), 1, 2);
        continue;
      }
      if (fd >= 0) {
        if (const int error = lend(actions, fd, target); error != 0) return error;
        continue;
      }
      const bool feeds = target == 0 && m_process.input != nullptr;
      const bool captures = target != 0 && !detach && !foreground;
      if (!feeds && !captures) {
        ::posix_spawn_file_actions_addopen(actions.get(), target, "/dev/null", target == 0 ? O_RDONLY : O_WRONLY, 0);
        continue;
      }
      Pipe pipe = Pipe::make();
      Fd& ours = target == 0 ? m_in : target == 1 ? m_out : m_err;
      ours = std::move(target == 0 ? pipe.write : pipe.read);
      ::fcntl(ours.get(), F_SETFL, O_NONBLOCK);
      if (const int error = lend(actions, target == 0 ? pipe.read.get() : pipe.write.get(), target); error != 0)
        return error;
    }
    return 0;
  }

  [[nodiscard]] int foreground_terminal() const {
    if (!has(KORTEX_RUN_FOREGROUND)) return -1;
    const int in = m_process.stdin_fd >= 0 ? m_process.stdin_fd : m_surroundings.terminal_in;
    return in >= 0 && ::isatty(in) != 0 ? in : -1;
  }

  /// One read, or all that is there. False: stop, for m_stop_reason.
  bool drain(Fd& from, kortex_stream stream, bool all) {
    std::array<char, chunk_size> chunk;
    while (from) {
      const ssize_t n = ::read(from.get(), chunk.data(), chunk.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return true;
      if (n <= 0) {
        from.reset();
        return true;
      }
      if (!take({chunk.data(), static_cast<std::size_t>(n)}, stream)) {
        from.reset();
        return false;
      }
      if (!all) return true;
    }
    return true;
  }

  bool take(std::string_view bytes, kortex_stream stream) {
    if (has(KORTEX_RUN_STREAM)) {
      if (m_surroundings.output && m_surroundings.output(stream, bytes)) return true;
      m_stop_reason = KORTEX_E_CANCELLED;
      return false;
    }
    if (m_out_text.size() + m_err_text.size() + bytes.size() > max_captured_size) {
      m_stop_reason = KORTEX_E_RESOURCE;
      return false;
    }
    (stream == KORTEX_STREAM_STDOUT ? m_out_text : m_err_text).append(bytes);
    return true;
  }

  void feed() {
    while (m_fed < m_process.input_size) {
      const ssize_t n = ::write(m_in.get(), m_process.input + m_fed, m_process.input_size - m_fed);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n < 0) break;  // it does not want the rest
      m_fed += static_cast<std::size_t>(n);
    }
    m_in.reset();
  }

  void pass_signals() {
    unsigned char number = 0;
    const ssize_t n = ::read(m_surroundings.signal_fd, &number, 1);
    if (n > 0) ::kill(-m_pid, number);
    m_signals_ended = n == 0;
  }

  void reap() {
    int status = 0;
    while (::waitpid(m_pid, &status, 0) < 0 && errno == EINTR) {}
    m_reaped = true;
    m_exit_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }

  const RunnerSurroundings& m_surroundings;
  const kortex_process& m_process;
  std::string m_name;
  pid_t m_pid = -1;
  Fd m_pidfd, m_in, m_out, m_err;
  std::vector<Fd> m_child_ends;
  std::string m_out_text, m_err_text;
  std::size_t m_fed = 0;
  int m_exit_code = -1;
  bool m_reaped = false;
  bool m_signals_ended = false;
  kortex_status m_stop_reason = KORTEX_E_CANCELLED;
};

}  // namespace

kortex_status ProcessRunner::run(const kortex_process& process, kortex_process_result* result) {
  if (process.argv == nullptr || process.argv[0] == nullptr)
    return m_surroundings.fail ? m_surroundings.fail(KORTEX_E_INTERNAL, "run() was called without a program", "", "")
                               : KORTEX_E_INTERNAL;
  Run run(m_surroundings, process);
  kortex_status status = run.spawn();
  if (status == KORTEX_OK && (process.flags & KORTEX_RUN_DETACH) == 0) status = run.wait();
  if (result == nullptr) return status;
  const std::scoped_lock lock(m_mutex);
  const std::string& out = m_captured.emplace_back(std::move(run.out_text()));
  const std::string& err = m_captured.emplace_back(std::move(run.err_text()));
  result->exit_code = run.exit_code();
  result->pid = run.pid();
  result->out = out.c_str();
  result->out_size = out.size();
  result->err = err.c_str();
  result->err_size = err.size();
  return status;
}

}  // namespace kortex::host
