#include "runtimes/signal_watch.hpp"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace kortex::host {

SignalWatch::SignalWatch(Streams streams) {
  sigset_t watched;
  sigemptyset(&watched);
  const auto add = [&](int signal) {
    struct sigaction action {};
    if (::sigaction(signal, nullptr, &action) == 0 && action.sa_handler == SIG_IGN) return;
    sigaddset(&watched, signal);
  };
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) add(signal);
  if (streams != Streams::none) add(SIGQUIT);
  if (streams == Streams::pipe)
    for (const int signal : {SIGUSR1, SIGUSR2}) add(signal);
  if (streams == Streams::terminal) add(SIGWINCH);
  ::sigprocmask(SIG_BLOCK, &watched, &m_before);
  m_fd.reset(::signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!m_fd) {
    const int error = errno;
    ::sigprocmask(SIG_SETMASK, &m_before, nullptr);
    throw std::system_error(error, std::generic_category(), "signalfd");
  }
}

SignalWatch::~SignalWatch() { ::sigprocmask(SIG_SETMASK, &m_before, nullptr); }

int SignalWatch::next() {
  signalfd_siginfo info{};
  for (;;) {
    const ssize_t n = ::read(m_fd.get(), &info, sizeof info);
    if (n == static_cast<ssize_t>(sizeof info)) return static_cast<int>(info.ssi_signo);
    if (n < 0 && errno == EINTR) continue;
    return 0;
  }
}

}  // namespace kortex::host
