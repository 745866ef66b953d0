#include "port_link.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "files.hpp"
#include "machine.hpp"
#include "port_words.hpp"
#include "qmp.hpp"

namespace kortex::microvm {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr std::size_t room = 64 * 1024;

std::string hexadecimal(std::uint64_t number) {
  char text[17];
  std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(number));
  return text;
}

/// Copies between the client's socket and the port until the client has gone, in a thread of its own.
class Pump {
 public:
  Pump(Fd inner, int outer, const std::string& received) : m_inner(std::move(inner)), m_outer(outer) { unescape(received); }

  void run() {
    while (!m_client_gone || (m_up_begin < m_up.size() && Clock::now() < m_give_up)) {
      const bool takes_up = !m_client_gone && m_up.size() - m_up_begin < room;
      const bool takes_down = !m_ended && m_down.size() - m_down_begin < room;
      pollfd fds[2] = {{m_inner.get(), static_cast<short>((takes_up ? POLLIN : 0) | (m_down_begin < m_down.size() ? POLLOUT : 0)), 0},
                       {m_outer, static_cast<short>((takes_down ? POLLIN : 0) | (m_up_begin < m_up.size() ? POLLOUT : 0)), 0}};
      if (m_client_gone) fds[0].fd = -1;
      if (m_ended && m_up_begin == m_up.size()) fds[1].fd = -1;
      if (::poll(fds, 2, m_client_gone ? 1000 : -1) < 0 && errno != EINTR) return;
      if (takes_up && fds[0].revents != 0) read_client();
      if (takes_down && fds[1].revents != 0) read_port();
      write_port();
      write_client();
    }
  }

 private:
  void read_client() {
    char bytes[room / 2];
    const ssize_t size = ::recv(m_inner.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    compact(m_up, m_up_begin);
    if (size <= 0) {
      m_client_gone = true;
      m_give_up = Clock::now() + 2s;
      m_up += port_escape;
      m_up += 'X';
      return;
    }
    append_escaped(m_up, {bytes, static_cast<std::size_t>(size)});
  }

  void read_port() {
    char bytes[room / 2];
    const ssize_t size = ::recv(m_outer, bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0)
      m_ended = true;
    else
      unescape(std::string_view(bytes, static_cast<std::size_t>(size)));
  }

  void unescape(std::string_view bytes) {
    compact(m_down, m_down_begin);
    m_words.take(bytes, m_down);
    m_ended |= m_words.over();
  }

  void write_port() {
    while (m_up_begin < m_up.size()) {
      const ssize_t size = ::send(m_outer, m_up.data() + m_up_begin, m_up.size() - m_up_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) {
        m_up_begin = m_up.size();
        m_ended = true;
        return;
      }
      m_up_begin += static_cast<std::size_t>(size);
    }
  }

  void write_client() {
    while (!m_client_gone && m_down_begin < m_down.size()) {
      const ssize_t size = ::send(m_inner.get(), m_down.data() + m_down_begin, m_down.size() - m_down_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0 && errno == EAGAIN) return;
      if (size <= 0) {
        m_down_begin = m_down.size();
        break;
      }
      m_down_begin += static_cast<std::size_t>(size);
    }
    // The client learns of the end when it has read all that came before it.
    if (m_ended && !m_told && m_down_begin >= m_down.size()) {
      ::shutdown(m_inner.get(), SHUT_WR);
      m_told = true;
    }
  }

  static void compact(std::string& bytes, std::size_t& begin) {
    bytes.erase(0, begin);
    begin = 0;
  }

  Fd m_inner;
  int m_outer;
  std::string m_up, m_down;  // towards the port; towards the client
  std::size_t m_up_begin = 0, m_down_begin = 0;
  PortWords m_words;
  bool m_ended = false, m_told = false, m_client_gone = false;
  Clock::time_point m_give_up;
};

}  // namespace

namespace {

/// Once in a machine's life. Who does it holds the port's lock.
void plug(const InstanceFiles& files, unsigned session) {
  const std::string done = files.path(plugged_mark(session));
  if (exists(done)) return;
  const std::string said = qmp(files, "device_add", 30s, session_port(session));
  // Somebody may have been killed between plugging it and saying so.
  if (said.find("\"return\"") == std::string::npos && said.find("Duplicate") == std::string::npos && said.find("already exists") == std::string::npos)
    throw session::Error(KORTEX_E_BACKEND, said.empty() ? "the virtual machine has ended" : "cannot plug in a session port: " + said);
  replace_file(done, "");
}

}  // namespace

PortLink::PortLink(const Call& call, const InstanceFiles& files, PortUse use, std::chrono::milliseconds limit) {
  choose_port(files, use);
  const std::string received = greet(call, limit);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail_system("cannot make a session");
  m_client_end.reset(ends[0]);
  auto pump = std::make_unique<Pump>(Fd(ends[1]), m_port.get(), received);
  // Signals are the caller's.
  sigset_t all, before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  m_pump = std::thread([pump = std::move(pump)] { pump->run(); });
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

Fd ask_to_power_down(const InstanceFiles& files) {
  try {
    Fd port = files.connect(control_socket);
    // Whatever a predecessor left half said, this is no part of it.
    const std::string words = port_escape + std::string(1, port_escape) + "P";
    if (::send(port.get(), words.data(), words.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(words.size())) return port;
  } catch (const session::Error&) {
    // Nobody there.
  }
  return Fd();
}

PortLink::~PortLink() {
  m_client_end.reset();
  if (m_pump.joinable()) m_pump.join();
}

void PortLink::choose_port(const InstanceFiles& files, PortUse use) {
  const std::string name = files.path("ports");
  m_lock.reset(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!m_lock) fail_system("cannot open '" + name + "'");
  const auto take = [&](unsigned port, int command) {
    struct flock lock {};
    lock.l_type = F_WRLCK;
    lock.l_whence = SEEK_SET;
    lock.l_start = port;
    lock.l_len = 1;
    return ::fcntl(m_lock.get(), command, &lock) == 0;
  };
  if (use == PortUse::control) {
    (void)take(0, F_OFD_SETLKW);  // held for moments only
    m_port = files.connect(control_socket);
    return;
  }
  unsigned session = 1;
  for (; session == 1 || exists(files.path(session_socket(session))); ++session) {
    if (!take(session, F_OFD_SETLK)) continue;
    plug(files, session);
    m_port = files.connect(session_socket(session));
    return;
  }
  throw session::Error(KORTEX_E_BUSY, "all " + std::to_string(session - 1) + " sessions of the virtual machine are in use", "kortex-cli init --runtime-option sessions=NUMBER");
}

std::string PortLink::greet(const Call& call, std::chrono::milliseconds limit) const {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != sizeof number) fail_system("cannot get random bytes");
  const std::string nonce = hexadecimal(number);
  const std::string hello = port_escape + std::string("R") + nonce + hexadecimal(static_cast<std::uint64_t>(now_ms()));
  const session::Error ended(KORTEX_E_BACKEND, "the virtual machine has ended");
  if (::send(m_port.get(), hello.data(), hello.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(hello.size())) throw ended;
  const std::string wanted = port_escape + std::string("A") + nonce;
  const auto end = Clock::now() + limit;
  std::string seen;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0 || !call.wait_readable(m_port.get(), left)) throw session::Error(KORTEX_E_TIMEOUT, "the guest does not answer");
    char bytes[room];
    const ssize_t size = ::recv(m_port.get(), bytes, sizeof bytes, MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) continue;
    if (size <= 0) throw ended;
    // What comes before is somebody's who was here earlier.
    seen.append(bytes, static_cast<std::size_t>(size));
    const std::size_t at = seen.find(wanted);
    if (at != std::string::npos) return seen.substr(at + wanted.size());
    if (seen.size() > wanted.size()) seen.erase(0, seen.size() - wanted.size());
  }
}

}  // namespace kortex::microvm
