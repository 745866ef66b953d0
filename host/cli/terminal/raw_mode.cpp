#include "cli/terminal/raw_mode.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "system/error.hpp"

namespace kortex::host {
namespace {

/// From a background process group too: SIGTTOU would stop us instead.
void set_attributes(int terminal, const termios& attributes) {
  sigset_t block, before;
  ::sigemptyset(&block);
  ::sigaddset(&block, SIGTTOU);
  ::sigprocmask(SIG_BLOCK, &block, &before);
  while (::tcsetattr(terminal, TCSANOW, &attributes) != 0 && errno == EINTR) {
  }
  ::sigprocmask(SIG_SETMASK, &before, nullptr);
}

bool same_modes(const termios& a, const termios& b) {
  return a.c_iflag == b.c_iflag && a.c_oflag == b.c_oflag && a.c_lflag == b.c_lflag && a.c_cflag == b.c_cflag;
}

/// Runs in the guardian. Our children inherit the pipe's other end, so that its end of file does not
/// tell our death; the pidfd does.
[[noreturn]] void guard(int terminal, int pipe, int parent, const termios& before, const termios& raw) {
  // All signals are blocked since before the fork, and stay so.
  ::setsid();
  // Whoever waits for the end of our output must not wait for the guardian.
  if (::dup2(terminal, 0) < 0 || ::dup2(pipe, 1) < 0 || ::dup2(parent, 2) < 0) ::_exit(1);
  ::close_range(3, ~0U, 0);
  pollfd wait[2] = {{1, POLLIN, 0}, {2, POLLIN, 0}};
  while (::poll(wait, 2, -1) < 0 && errno == EINTR) {
  }
  char told = 0;
  if ((wait[0].revents & POLLIN) != 0 && ::read(1, &told, 1) == 1) ::_exit(0);
  // A shell that has taken its terminal back already set modes of its own.
  termios now{};
  if (::tcgetattr(0, &now) == 0 && same_modes(now, raw)) set_attributes(0, before);
  ::_exit(0);
}

}  // namespace

RawMode::RawMode(int terminal) : m_terminal(terminal) {
  if (::tcgetattr(terminal, &m_before) != 0)
    throw Error(ErrorKind::failed, "cannot read the terminal's modes: " + reason_of(errno));
  termios raw = m_before;
  ::cfmakeraw(&raw);
  Pipe pipe = Pipe::make();
  const Fd self(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!self) throw Error(ErrorKind::failed, "cannot watch over the terminal: " + reason_of(errno));
  // The terminal hangs up on our group when we die: the guardian must be deaf to that from its first instruction.
  sigset_t all, mask;
  ::sigfillset(&all);
  ::sigprocmask(SIG_BLOCK, &all, &mask);
  m_guardian = ::fork();
  const int fork_error = errno;
  if (m_guardian != 0) ::sigprocmask(SIG_SETMASK, &mask, nullptr);
  errno = fork_error;
  if (m_guardian < 0) throw Error(ErrorKind::failed, "cannot start a process: " + reason_of(errno));
  if (m_guardian == 0) guard(terminal, pipe.read.get(), self.get(), m_before, raw);
  m_guardian_pipe = std::move(pipe.write);
  // Not TCSAFLUSH: what was typed ahead is meant for the program.
  while (::tcsetattr(terminal, TCSADRAIN, &raw) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    give_back();
    throw Error(ErrorKind::failed, "cannot set the terminal to raw mode: " + reason_of(error));
  }
}

RawMode::~RawMode() { give_back(); }

void RawMode::give_back() noexcept {
  set_attributes(m_terminal, m_before);
  const char done = 1;
  (void)!::write(m_guardian_pipe.get(), &done, 1);
  while (::waitpid(m_guardian, nullptr, 0) < 0 && errno == EINTR) {
  }
}

TerminalSize terminal_size(int out, int in) {
  for (int fd : {out, in}) {
    winsize size{};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0) return {size.ws_row, size.ws_col};
  }
  return {};
}

}  // namespace kortex::host
