/// The client's side of <kortex/session_protocol.h>. Included by <kortex/session.hpp>.
#ifndef KORTEX_SESSION_CLIENT_HPP
#define KORTEX_SESSION_CLIENT_HPP

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include <kortex/session.hpp>
#include <kortex/session_keys.hpp>
#include <kortex/session_records.hpp>
#include <kortex/terminal_modes.h>

namespace kortex::session {

namespace detail {

inline std::int64_t now_ms() {
  timespec t{};
  ::clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<std::int64_t>(t.tv_sec) * 1000 + t.tv_nsec / 1000000;
}

inline void put_u16(std::string& out, unsigned value) {
  out += static_cast<char>(value & 0xff);
  out += static_cast<char>(value >> 8 & 0xff);
}
inline void put_u32(std::string& out, std::uint32_t value) {
  put_u16(out, value & 0xffff);
  put_u16(out, value >> 16);
}
/// Beyond the end: 0, as the protocol has it for fields an older peer does not send.
inline std::uint32_t get_u32(const std::string& payload, std::size_t at) {
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 4 && at + i < payload.size(); ++i)
    value |= static_cast<std::uint32_t>(static_cast<unsigned char>(payload[at + i])) << 8 * i;
  return value;
}
inline std::int64_t get_u64(const std::string& payload, std::size_t at) {
  return static_cast<std::int64_t>(static_cast<std::uint64_t>(get_u32(payload, at)) |
                                   static_cast<std::uint64_t>(get_u32(payload, at + 4)) << 32);
}

inline std::string program_payload(const Program& program) {
  std::string payload;
  put_u32(payload, program.tty ? KORTEX_SESSION_TTY : 0);
  put_u16(payload, program.rows);
  put_u16(payload, program.cols);
  put_u32(payload, static_cast<std::uint32_t>(program.argv.size()));
  put_u32(payload, static_cast<std::uint32_t>(program.env.size()));
  for (const std::string& text : program.argv) payload.append(text.c_str(), text.size() + 1);
  for (const std::string& text : program.env) payload.append(text.c_str(), text.size() + 1);
  payload.append(program.cwd.c_str(), program.cwd.size() + 1);
  if (payload.size() > KORTEX_SESSION_MESSAGE_MAX)
    throw Error(KORTEX_E_INVALID, "arguments and environment of '" + program.argv.at(0) + "' are too long");
  return payload;
}

inline void append_message(std::string& out, std::uint8_t type, const std::string& payload) {
  std::size_t at = 0;
  do {
    const std::size_t part = std::min<std::size_t>(payload.size() - at, KORTEX_SESSION_PAYLOAD_MAX);
    const bool more = at + part < payload.size() && (type == KORTEX_SESSION_START || type == KORTEX_SESSION_RUN);
    out += static_cast<char>(type);
    out += static_cast<char>(more ? KORTEX_SESSION_MORE : 0);
    put_u16(out, 0);
    put_u32(out, static_cast<std::uint32_t>(part));
    out.append(payload, at, part);
    at += part;
  } while (at < payload.size());
}

inline std::string hello_payload() {
  std::string hello;
  put_u32(hello, KORTEX_SESSION_MAGIC);
  put_u16(hello, KORTEX_SESSION_MAJOR);
  put_u16(hello, KORTEX_SESSION_MINOR);
  return hello;
}

/// While it lives a write to a closed pipe is only EPIPE: the process, and what signals do to it, are not ours to
/// decide about. For this thread.
class QuietPipes {
 public:
  QuietPipes() {
    ::sigemptyset(&m_pipe);
    ::sigaddset(&m_pipe, SIGPIPE);
    sigset_t pending;
    ::sigpending(&pending);
    m_was_pending = ::sigismember(&pending, SIGPIPE) == 1;
    ::pthread_sigmask(SIG_BLOCK, &m_pipe, &m_before);
  }
  QuietPipes(const QuietPipes&) = delete;
  QuietPipes& operator=(const QuietPipes&) = delete;
  ~QuietPipes() {
#if defined(__APPLE__)
    int taken = 0;
    for (sigset_t now; !m_was_pending && ::sigpending(&now) == 0 && ::sigismember(&now, SIGPIPE) == 1;) ::sigwait(&m_pipe, &taken);
#else
    const timespec at_once{};
    while (!m_was_pending && ::sigtimedwait(&m_pipe, nullptr, &at_once) < 0 && errno == EINTR) continue;
#endif
    ::pthread_sigmask(SIG_SETMASK, &m_before, nullptr);
  }

 private:
  sigset_t m_pipe, m_before;
  bool m_was_pending = false;
};

}  // namespace detail

inline std::string start_message(const Program& agent) {
  std::string message;
  detail::append_message(message, KORTEX_SESSION_HELLO, detail::hello_payload());
  detail::append_message(message, KORTEX_SESSION_START, detail::program_payload(agent));
  return message;
}

inline Streams streams_of(const kortex_call* call, const kortex_exec_args* args) {
  Streams s;
  s.in = args->stdin_fd;
  s.out = args->stdout_fd;
  s.err = args->stderr_fd;
  s.resize_fd = call->resize_fd;
  s.signal_fd = call->signal_fd;
  s.cancel_fd = call->cancel_fd;
  s.tty = (args->flags & KORTEX_EXEC_TTY) != 0;
  s.rows = args->rows;
  s.cols = args->cols;
  if (args->detach_keys != nullptr) s.detach_keys = args->detach_keys;
  return s;
}

inline Client Client::connect(const std::string& path, int timeout_ms) {
  const auto fail = [&](int error) {
    if (error == ENOENT || error == ECONNREFUSED || error == ENOTDIR)
      throw Error(KORTEX_E_NOT_FOUND, "no session is served at '" + path + "'");
    if (error == EAGAIN) throw Error(KORTEX_E_TIMEOUT, "cannot connect to the session at '" + path + "': it does not answer");
    throw Error(error == EACCES || error == EPERM ? KORTEX_E_PERMISSION : KORTEX_E_FAILED,
                "cannot connect to the session at '" + path + "': " + detail::reason(error));
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
#if defined(__APPLE__)
  const std::string& name = path;
  if (path.size() >= sizeof address.sun_path) fail(ENAMETOOLONG);
#else
  // The very socket, and no link that somebody in the instance put there: it would lead to one of the host's. Its path may be
  // longer than an address.
  const Fd there(::open(path.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
  struct stat about {};
  if (!there || ::fstat(there.get(), &about) != 0) fail(errno);
  if (!S_ISSOCK(about.st_mode)) fail(ENOENT);
  const std::string name = "/proc/self/fd/" + std::to_string(there.get());
#endif
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
#if defined(__APPLE__)
  Fd fd(::socket(AF_UNIX, SOCK_STREAM, 0));
  if (!fd || ::fcntl(fd.get(), F_SETFD, FD_CLOEXEC) != 0) fail(errno);
#else
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd) fail(errno);
#endif
  const timeval patience{timeout_ms / 1000, (timeout_ms % 1000) * 1000L};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  int result = 0;
  while ((result = ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address)) < 0 && errno == EINTR) continue;
  if (result < 0) fail(errno);
  Fd second(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
  if (!second) fail(errno);
  return Client(std::move(fd), std::move(second), timeout_ms);
}

inline Client::Client(Fd in, Fd out, int timeout_ms) : m_in(std::move(in)), m_out(std::move(out)), m_timeout_ms(timeout_ms) {
  for (const int fd : {m_in.get(), m_out.get()}) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
  m_incoming.reset(new char[incoming_size]);
  send(KORTEX_SESSION_HELLO, detail::hello_payload());
  const Frame answer = receive();
  if (answer.type == KORTEX_SESSION_ERROR) rethrow(answer);
  if (answer.type != KORTEX_SESSION_HELLO || detail::get_u32(answer.payload, 0) != KORTEX_SESSION_MAGIC)
    throw Error(KORTEX_E_BACKEND, "what answers is not a session");
  const std::uint32_t major = detail::get_u32(answer.payload, 4) & 0xffff;
  if (major != KORTEX_SESSION_MAJOR)
    throw Error(KORTEX_E_UNSUPPORTED, "the session speaks version " + std::to_string(major) + " of the protocol, this program " +
                                          std::to_string(KORTEX_SESSION_MAJOR));
}

inline void Client::rethrow(const Frame& frame) {
  // An error that calls itself a success is still one: whoever answers may be no holder of ours.
  const std::uint32_t code = detail::get_u32(frame.payload, 0);
  const std::string text = frame.payload.size() > 4 ? std::string(frame.payload.c_str() + 4) : std::string();
  const bool known = code >= KORTEX_E_FAILED && code <= KORTEX_E_INTERNAL;
  throw Error(known ? static_cast<kortex_status>(code) : KORTEX_E_BACKEND, text.empty() ? "the session refused" : text);
}

inline void Client::send(std::uint8_t type, const std::string& payload) { detail::append_message(m_outgoing, type, payload); }

/// False: the holder does not take anything any more. It may still have something to say.
inline bool Client::flush(bool may_wait) {
  if (m_sent == m_outgoing.size()) return true;
  const detail::QuietPipes quiet;
  const std::int64_t deadline = detail::now_ms() + m_timeout_ms;
  while (m_sent < m_outgoing.size()) {
    const ssize_t n = ::write(m_out.get(), m_outgoing.data() + m_sent, m_outgoing.size() - m_sent);
    if (n >= 0) {
      m_sent += static_cast<std::size_t>(n);
    } else if (errno == EAGAIN) {
      if (!may_wait) return true;
      pollfd out{m_out.get(), POLLOUT, 0};
      const std::int64_t left = deadline - detail::now_ms();
      if (left <= 0) throw Error(KORTEX_E_TIMEOUT, "the session does not answer");
      ::poll(&out, 1, static_cast<int>(left));
    } else if (errno != EINTR) {
      m_outgoing.clear();
      m_sent = 0;
      return false;
    }
  }
  m_outgoing.clear();
  m_sent = 0;
  return true;
}

/// Waits for bytes and takes what there is. False: the holder has gone.
inline bool Client::fill(int cancel_fd, int timeout_ms) {
  if (m_begin > 0) {
    std::memmove(m_incoming.get(), m_incoming.get() + m_begin, m_end - m_begin);
    m_end -= m_begin;
    m_begin = 0;
  }
  for (;;) {
    const ssize_t n = ::read(m_in.get(), m_incoming.get() + m_end, incoming_size - m_end);
    if (n > 0) {
      m_end += static_cast<std::size_t>(n);
      return true;
    }
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) return false;
    pollfd fds[2] = {{m_in.get(), POLLIN, 0}, {cancel_fd, POLLIN, 0}};
    const int ready = ::poll(fds, 2, timeout_ms);
    if (ready == 0) throw Error(KORTEX_E_TIMEOUT, "the session does not answer");
    if (ready > 0 && fds[1].revents != 0) throw Error(KORTEX_E_CANCELLED, "cancelled");
  }
}

/// `may_end`: the answer may take any time; the holder going away instead is type 0, not an error.
inline Client::Frame Client::receive(int cancel_fd, bool may_end) {
  flush(true);
  for (;;) {
    if (m_end - m_begin >= KORTEX_SESSION_HEADER) {
      const std::string header(m_incoming.get() + m_begin, KORTEX_SESSION_HEADER);
      const std::size_t length = detail::get_u32(header, 4);
      if (length > KORTEX_SESSION_PAYLOAD_MAX) throw Error(KORTEX_E_BACKEND, "what answers is not a session");
      if (m_end - m_begin >= KORTEX_SESSION_HEADER + length) {
        Frame frame;
        frame.type = static_cast<std::uint8_t>(header[0]);
        frame.payload.assign(m_incoming.get() + m_begin + KORTEX_SESSION_HEADER, length);
        m_begin += KORTEX_SESSION_HEADER + length;
        return frame;
      }
    }
    if (fill(cancel_fd, may_end ? -1 : m_timeout_ms)) continue;
    if (may_end) return {};
    throw Error(KORTEX_E_BACKEND, "the session ended unexpectedly");
  }
}

inline Status Client::status() {
  send(KORTEX_SESSION_STATUS);
  const Frame answer = receive();
  if (answer.type == KORTEX_SESSION_ERROR) rethrow(answer);
  Status status;
  const std::uint32_t agent = detail::get_u32(answer.payload, 0);
  status.agent = agent == 0 ? Status::Agent::not_started : agent == 1 ? Status::Agent::running : Status::Agent::ended;
  if (agent == 2) status.exit_code = static_cast<int>(detail::get_u32(answer.payload, 4));
  status.agent_pid = detail::get_u64(answer.payload, 8);
  status.started_ms = detail::get_u64(answer.payload, 16);
  status.viewers = detail::get_u32(answer.payload, 24);
  return status;
}

inline void Client::start_agent(const Program& program) {
  send(KORTEX_SESSION_START, detail::program_payload(program));
  const Frame answer = receive();
  if (answer.type == KORTEX_SESSION_ERROR) rethrow(answer);
}

inline End Client::await_end(int cancel_fd) {
  for (;;) {
    const Frame frame = receive(cancel_fd, true);
    if (frame.type == 0) throw Error(KORTEX_E_BACKEND, "the session ended unexpectedly");
    if (frame.type == KORTEX_SESSION_ERROR) rethrow(frame);
    if (frame.type != KORTEX_SESSION_END) continue;
    End end;
    end.how = static_cast<kortex_end>(detail::get_u32(frame.payload, 0));
    end.code = static_cast<int>(detail::get_u32(frame.payload, 4));
    return end;
  }
}

inline End Client::wait(int cancel_fd) {
  send(KORTEX_SESSION_WAIT);
  return await_end(cancel_fd);
}

inline void Client::stop(int grace_ms, int cancel_fd) {
  std::string payload;
  detail::put_u32(payload, grace_ms < 0 ? 0 : static_cast<std::uint32_t>(grace_ms));
  send(KORTEX_SESSION_STOP, payload);
  for (;;) {
    const Frame frame = receive(cancel_fd, true);
    if (frame.type == 0) return;
    if (frame.type == KORTEX_SESSION_ERROR) rethrow(frame);
  }
}

}  // namespace kortex::session

#include <kortex/session_streams.hpp>
#endif
