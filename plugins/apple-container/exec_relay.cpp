#include "exec_relay.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "tool.hpp"

namespace kortex::apple {
namespace {

using namespace std::chrono_literals;

/// Kills a process when the call is cancelled, for as long as this lives: the client's greeting cannot be interrupted.
class CancelWatch {
 public:
  CancelWatch(int cancel_fd, pid_t pid) : m_stop(Pipe::make()) {
    if (cancel_fd < 0) return;
    // Signals are the host's: none may be taken by this thread.
    sigset_t all, before;
    sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    m_thread = std::thread([this, cancel_fd, pid] {
      pollfd fds[2] = {{m_stop.read.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
      while (::poll(fds, 2, -1) < 0 && errno == EINTR) continue;
      if (fds[1].revents != 0 && fds[0].revents == 0) ::kill(-pid, SIGKILL);
    });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  }
  CancelWatch(const CancelWatch&) = delete;
  CancelWatch& operator=(const CancelWatch&) = delete;
  ~CancelWatch() {
    m_stop.write.reset();
    if (m_thread.joinable()) m_thread.join();
  }

 private:
  Pipe m_stop;
  std::thread m_thread;
};

}  // namespace

std::unique_ptr<ExecRelay> ExecRelay::open(const Call& call, const std::vector<std::string>& command, std::chrono::milliseconds patience) {
  Pipe in = Pipe::make(), out = Pipe::make(), err = Pipe::make();
  Process process;
  process.argv = command;
  process.stdin_fd = in.read.get();
  process.stdout_fd = out.write.get();
  process.stderr_fd = err.write.get();
  // Its end is ours to bring about: it lasts as long as the session does, and must be ended at once where it hangs. Without
  // us it reads the end of its input.
  process.flags = KORTEX_RUN_DETACH;
  std::unique_ptr<ExecRelay> relay(new ExecRelay);
  relay->m_pid = static_cast<pid_t>(call.run(process).pid);
  relay->m_stderr = std::move(err.read);
  in.read.reset();
  out.write.reset();
  err.write.reset();
  relay->greet(call, std::move(out.read), std::move(in.write), patience);
  return relay;
}

void ExecRelay::greet(const Call& call, Fd in, Fd out, std::chrono::milliseconds patience) {
  if (const auto left = call.time_left()) patience = std::min(patience, std::max<std::chrono::milliseconds>(*left, 1ms));
  try {
    const CancelWatch watch(call.raw()->cancel_fd, m_pid);
    m_client = std::make_unique<session::Client>(std::move(in), std::move(out), static_cast<int>(patience.count()));
  } catch (const session::Error& error) {
    end(error.code == KORTEX_E_TIMEOUT ? 0ms : 1000ms);
    call.throw_if_cancelled();
    if (tells_of_no_services(m_complaint)) {
      const Error down = no_services("reach the session", m_complaint);
      throw session::Error(down.code, down.what(), down.hint, down.detail);
    }
    if (error.code == KORTEX_E_TIMEOUT)
      throw session::Error(error.code, "cannot reach the session: 'container exec' did not answer in " + std::to_string((patience.count() + 999) / 1000) + " seconds",
                           "container system status", m_complaint);
    if (error.code == KORTEX_E_BACKEND) throw session::Error(KORTEX_E_NOT_FOUND, "no session is served in the container", "", m_complaint);
    throw;
  }
}

ExecRelay::~ExecRelay() { end(2000ms); }

bool ExecRelay::listen_until_end(std::chrono::milliseconds patience) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point until = Clock::now() + patience;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd fd{m_stderr.get(), POLLIN, 0};
    const int ready = ::poll(&fd, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return false;
    char buffer[4096];
    const ssize_t got = ::read(m_stderr.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return true;  // nobody has its stderr any more
    if (m_complaint.size() < 64 * 1024) m_complaint.append(buffer, static_cast<std::size_t>(got));
  }
}

void ExecRelay::end(std::chrono::milliseconds patience) {
  m_client.reset();
  if (m_pid <= 0) return;
  if (!listen_until_end(patience)) {
    ::kill(-m_pid, SIGTERM);
    if (!listen_until_end(500ms)) ::kill(-m_pid, SIGKILL);
  }
  // Not reaped before, so that its number cannot have become another's.
  while (::waitpid(m_pid, nullptr, 0) < 0 && errno == EINTR) continue;
  m_pid = -1;
}

}  // namespace kortex::apple
