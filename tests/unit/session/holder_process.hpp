/// A real holder in a directory of the test's own.
#pragma once

#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <kortex/session.hpp>
#include <string>
#include <vector>

#include "sandbox.hpp"

namespace kortex::test {

inline constexpr int patience_ms = 20000;

inline bool readable(int fd, int timeout_ms = patience_ms) {
  pollfd waited{fd, POLLIN, 0};
  return ::poll(&waited, 1, timeout_ms) == 1;
}

/// Starts a program with stderr to `err`. Descriptors without close-on-exec are inherited.
inline pid_t spawn(const std::vector<std::string>& argv, int err = -1) {
  std::vector<char*> pointers;
  for (const std::string& text : argv) pointers.push_back(const_cast<char*>(text.c_str()));
  pointers.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    if (err >= 0) ::dup2(err, 2);
    ::execv(pointers[0], pointers.data());
    ::_exit(127);
  }
  return pid;
}

/// -1: it still runs after our patience.
inline int wait_exit(pid_t pid, int timeout_ms = patience_ms) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  if (!readable(process.get(), timeout_ms)) return -1;
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

class Holder {
 public:
  /// `socket`: of a folder beside the holder's directory; empty: the usual one.
  explicit Holder(const std::string& below = {}, const std::string& socket = {}) {
    directory = m_sandbox / "instance";
    if (!below.empty()) directory /= below;
    std::filesystem::create_directories(directory);
    Pipe ready = Pipe::make();
    ::fcntl(ready.write.get(), F_SETFD, 0);
    std::vector<std::string> command{KORTEX_SESSION_PROGRAM, "serve", "--dir", directory.string(), "--ready-fd", std::to_string(ready.write.get())};
    socket_path = directory / "session.sock";
    if (!socket.empty()) {
      std::filesystem::create_directories(m_sandbox / "elsewhere");
      socket_path = m_sandbox / "elsewhere" / socket;
      command.insert(command.end(), {"--socket", socket_path.string()});
    }
    m_pid = spawn(command);
    ready.write.reset();
    char byte = 1;
    BOOST_REQUIRE_MESSAGE(readable(ready.read.get()) && ::read(ready.read.get(), &byte, 1) == 1, "the holder serves");
  }
  ~Holder() {
    if (m_pid <= 0) return;
    try {
      client().stop(0);
    } catch (const std::exception&) {
    }
    if (wait_exit(m_pid) < 0) ::kill(m_pid, SIGKILL);
  }
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  [[nodiscard]] session::Client client() const { return session::Client::connect(socket_path.string()); }
  void start(const std::string& script, unsigned rows = 0, unsigned cols = 0) const {
    session::Program agent;
    agent.argv = {"/bin/sh", "-c", script};
    agent.env = {"PATH=/usr/bin:/bin", "TERM=xterm", "FROM_AGENT=yes", "PS1=$ "};
    agent.cwd = directory.string();
    agent.rows = static_cast<std::uint16_t>(rows);
    agent.cols = static_cast<std::uint16_t>(cols);
    client().start_agent(agent);
  }
  int exit_code() {
    const int code = wait_exit(m_pid);
    if (code >= 0) m_pid = 0;
    return code;
  }
  [[nodiscard]] session::StatusFile status_file() const { return session::read_status_file((directory / "status").string()); }
  [[nodiscard]] pid_t pid() const { return m_pid; }

  std::filesystem::path directory, socket_path;

 private:
  Sandbox m_sandbox;
  pid_t m_pid = 0;
};

}  // namespace kortex::test
