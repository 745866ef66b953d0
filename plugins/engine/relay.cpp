#include "engine/relay.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <csignal>
#include <optional>

#include "engine/plan.hpp"

namespace kortex::engine {
namespace {

constexpr std::chrono::seconds delivery_within{1};
constexpr std::size_t enough = 256 * 1024;  // read no more from one side while the other has not taken this

/// Writes what it can. False: the other side takes nothing any more.
bool write_some(int fd, std::string& bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return errno == EAGAIN;
    bytes.erase(0, static_cast<std::size_t>(sent));
  }
  return true;
}

/// 1: got some, 0: the end, -1: nothing yet.
int read_some(int fd, std::string& bytes) {
  char buffer[64 * 1024];
  const ssize_t got = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
  if (got > 0) bytes.append(buffer, static_cast<std::size_t>(got));
  return got > 0 ? 1 : got == 0 || (errno != EAGAIN && errno != EINTR) ? 0 : -1;
}

}  // namespace

Relay::Relay(const Call& call, Connection::Stream stream, Fd ours)
    : m_cancel_fd(call.raw()->cancel_fd), m_stream(std::move(stream)), m_ours(std::move(ours)), m_stop(Pipe::make()) {
  // Signals are the host's: none may be taken by this thread.
  sigset_t all, before;
  sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  m_thread = std::thread([this] { pump(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Relay::~Relay() {
  m_client.reset();
  // What the client sent last, keys typed just before it left, is still on its way.
  if (m_greeted) [[maybe_unused]]
    const ssize_t n = ::write(m_stop.write.get(), "", 1);
  m_stop.write.reset();
  if (m_thread.joinable()) m_thread.join();
}

void Relay::pump() {
  std::string up, down;
  RawStream frames;
  bool up_ended = false, down_ended = false, shut = false;
  std::optional<std::chrono::steady_clock::time_point> end_by;  // the client has left: the rest goes on its way
  const auto take = [&](std::string_view bytes) {
    try {
      frames.feed(bytes, [&](int which, std::string_view piece) { (which == 2 ? m_complaint : down) += piece; });
    } catch (const Error&) {
      down_ended = true;  // no frames: the client will say that the session ended unexpectedly
    }
  };
  take(m_stream.early);
  for (;;) {
    if (!write_some(m_ours.get(), down)) down.clear();
    if (down_ended && down.empty()) break;
    if (!write_some(m_stream.socket.get(), up)) {
      up.clear();
      up_ended = true;
    }
    if (up_ended && up.empty() && !shut) {
      // The relay reads the end of its input, and takes the session with it.
      ::shutdown(m_stream.socket.get(), SHUT_WR);
      shut = true;
    }
    const auto left = end_by ? std::chrono::ceil<std::chrono::milliseconds>(*end_by - std::chrono::steady_clock::now()).count() : -1;
    if (end_by && left <= 0) break;
    pollfd fds[4] = {
        {m_stream.socket.get(), static_cast<short>((down.size() < enough ? POLLIN : 0) | (up.empty() ? 0 : POLLOUT)), 0},
        {m_ours.get(), static_cast<short>((!up_ended && up.size() < enough ? POLLIN : 0) | (down.empty() ? 0 : POLLOUT)), 0},
        {end_by ? -1 : m_stop.read.get(), POLLIN, 0},
        {m_greeted ? -1 : m_cancel_fd, POLLIN, 0},
    };
    if (up_ended && down.empty()) fds[1].fd = -1;  // hung up: nothing more to learn from it
    if (::poll(fds, 4, static_cast<int>(left)) < 0 && errno != EINTR) break;
    if (fds[3].revents != 0 && !m_greeted) break;
    if (fds[2].revents != 0) {
      char left_for_good = 0;
      if (::read(m_stop.read.get(), &left_for_good, 1) != 1) break;
      end_by = std::chrono::steady_clock::now() + delivery_within;
    }
    std::string got;
    if ((fds[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && down.size() < enough) {
      if (read_some(m_stream.socket.get(), got) == 0) down_ended = true;
      take(got);
    }
    if ((fds[1].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && !up_ended && read_some(m_ours.get(), up) == 0) up_ended = true;
  }
  ::shutdown(m_stream.socket.get(), SHUT_RDWR);
  ::shutdown(m_ours.get(), SHUT_RDWR);
}

std::unique_ptr<Relay> Relay::open(Api& api, const std::string& container) {
  const std::string what = "reach the session";
  const json::object body{{"AttachStdin", true},
                          {"AttachStdout", true},
                          {"AttachStderr", true},
                          {"Tty", false},
                          {"Cmd", json::array{holder_program, "relay", std::string(holder_directory) + "/session.sock"}}};
  Api::ExecStream exec;
  try {
    exec = api.exec(what, container, body);
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    // Not running, or not any more: the engines have several codes for it.
    if (error.code == KORTEX_E_STATE || error.code == KORTEX_E_NOT_FOUND || error.code == KORTEX_E_BACKEND)
      throw session::Error(KORTEX_E_NOT_FOUND, error.what(), error.hint, error.detail);
    throw;
  }
  int pair[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) throw std::system_error(errno, std::generic_category(), "socketpair");
  Fd theirs(pair[0]), ours(pair[1]);
  Fd second(::fcntl(theirs.get(), F_DUPFD_CLOEXEC, 3));
  if (!second) throw std::system_error(errno, std::generic_category(), "cannot reach the session");
  std::unique_ptr<Relay> relay(new Relay(api.call(), std::move(exec.stream), std::move(ours)));
  try {
    // A login across the world and a busy engine are slower than a socket of this machine.
    relay->m_client = std::make_unique<session::Client>(std::move(theirs), std::move(second), 30000);
    relay->m_greeted = true;
  } catch (const session::Error& error) {
    relay->m_stop.write.reset();
    relay->m_thread.join();
    api.call().throw_if_cancelled();
    if (error.code == KORTEX_E_BACKEND) throw session::Error(KORTEX_E_NOT_FOUND, "no session is served in the container", "", relay->m_complaint);
    throw;
  }
  return relay;
}

}  // namespace kortex::engine
