/// The loop between the user's streams and the holder: attach(), follow(), run(). Included by <kortex/session.hpp>.
#ifndef KORTEX_SESSION_STREAMS_HPP
#define KORTEX_SESSION_STREAMS_HPP

#include <kortex/session_client.hpp>

namespace kortex::session {

class Client::Session {
 public:
  enum class Kind { attach, watch, run };

  Session(Client& client, const Streams& streams, Kind kind)
      : m_client(client),
        m_streams(streams),
        m_kind(kind),
        m_keys(kind == Kind::attach ? streams.detach_keys : std::string()),
        m_out(streams.out),
        m_err(streams.err),
        m_in_is_terminal(streams.in >= 0 && ::isatty(streams.in) == 1) {
    kortex_terminal_init(&m_terminal);
    m_input_open = streams.in >= 0 && kind != Kind::watch;
    m_follow_modes = kind != Kind::run || streams.tty;
  }

  End run() {
    const detail::QuietPipes quiet;
    try {
      const End end = loop();
      restore_terminal();
      return end;
    } catch (...) {
      restore_terminal();
      throw;
    }
  }

 private:
  /// Where output goes. The user's descriptors are usually blocking ones, and shared with whoever started us, so
  /// that they cannot be changed; a pipe or terminal that may be opened again is, for us alone.
  struct Sink {
    explicit Sink(int borrowed) : fd(borrowed) {
      struct stat st {};
      if (fd < 0 || ::fstat(fd, &st) != 0) return;
      if (S_ISREG(st.st_mode) || S_ISBLK(st.st_mode)) at_once = std::size_t{1} << 20;
      if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode)) return;
#if defined(__APPLE__)
      return;  // what its /dev/fd opens is the same descriptor again
#else
      own.reset(::open(("/proc/self/fd/" + std::to_string(fd)).c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
      if (!own) return;
      fd = own.get();
      at_once = std::size_t{1} << 20;
#endif
    }
    int fd;
    std::size_t at_once = 4096;  // what POLLOUT promises of a pipe
    Fd own;
  };

  enum Polled { from_holder, to_holder, input, output, resized, signalled, cancelled, polled_count };

  End loop() {
    if (m_kind == Kind::run && !m_input_open) m_client.send(KORTEX_SESSION_STDIN_EOF);
    for (;;) {
      if (!m_client.flush(false)) m_input_open = false;
      if (look_at_head()) {
        if (m_ended) return m_end;
      } else if (m_gone) {
        throw Error(KORTEX_E_BACKEND, "the session ended unexpectedly");
      }
      if (m_left) return End{KORTEX_END_DETACHED, 0};

      pollfd fds[polled_count];
      for (pollfd& fd : fds) fd = pollfd{-1, POLLIN, 0};
      const bool has_room = m_client.m_end - m_client.m_begin < incoming_size;
      if (has_room && m_output_left == 0 && !m_gone) fds[from_holder].fd = m_client.m_in.get();
      if (!m_client.m_outgoing.empty()) fds[to_holder] = pollfd{m_client.m_out.get(), POLLOUT, 0};
      if (wants_input()) fds[input].fd = m_streams.in;
      if (m_output_left > 0) fds[output] = pollfd{(m_output_type == KORTEX_SESSION_STDOUT ? m_out : m_err).fd, POLLOUT, 0};
      fds[resized].fd = m_streams.resize_fd;
      fds[signalled].fd = m_streams.signal_fd;
      fds[cancelled].fd = m_streams.cancel_fd;
      const int ready = ::poll(fds, polled_count, m_keys.holds() ? key_patience_ms : -1);
      if (ready < 0) {
        if (errno == EINTR) continue;
        throw Error(KORTEX_E_FAILED, "cannot wait for the session: " + detail::reason(errno));
      }
      if (ready == 0) {
        std::string typed;
        m_keys.release(typed);
        pass_on(typed);
        continue;
      }
      if (fds[cancelled].revents != 0) {
        if (m_kind != Kind::run) return End{KORTEX_END_DETACHED, 0};
        throw Error(KORTEX_E_CANCELLED, "cancelled");
      }
      if (fds[resized].revents != 0) take_resize();
      if (fds[signalled].revents != 0) take_signals();
      if (fds[input].revents != 0) take_input();
      if (fds[output].revents != 0) write_output();
      if (fds[from_holder].revents != 0) m_gone = !m_client.fill(-1, 0);
    }
  }

  /// A terminal is always read, or the keys that leave would be stuck behind a program that does not take its input.
  bool wants_input() const {
    if (!m_input_open || m_client.m_outgoing.size() > (std::size_t{512} << 10)) return false;
    return m_credit > 0 || (m_in_is_terminal && m_kind == Kind::attach);
  }

  /// Deals with frames up to one that has bytes for the user. True: there was one, or the end.
  bool look_at_head() {
    const char* const bytes = m_client.m_incoming.get();
    while (!m_ended) {
      std::size_t& begin = m_client.m_begin;
      if (m_output_left > 0) return true;
      if (m_client.m_end - begin < KORTEX_SESSION_HEADER) return false;
      const std::string header(bytes + begin, KORTEX_SESSION_HEADER);
      const std::size_t length = detail::get_u32(header, 4);
      if (length > KORTEX_SESSION_PAYLOAD_MAX) throw Error(KORTEX_E_BACKEND, "what answers is not a session");
      if (m_client.m_end - begin < KORTEX_SESSION_HEADER + length) return false;
      begin += KORTEX_SESSION_HEADER;
      const std::uint8_t type = static_cast<std::uint8_t>(header[0]);
      if (type == KORTEX_SESSION_STDOUT || type == KORTEX_SESSION_STDERR) {
        m_output_type = type;
        m_output_left = length;
        if ((type == KORTEX_SESSION_STDOUT ? m_out : m_err).fd < 0) {
          begin += length;
          m_output_left = 0;
        }
        continue;
      }
      Frame frame;
      frame.type = type;
      frame.payload.assign(bytes + begin, length);
      begin += length;
      if (type == KORTEX_SESSION_ERROR) rethrow(frame);
      if (type == KORTEX_SESSION_CREDIT) m_credit += detail::get_u32(frame.payload, 0);
      if (type == KORTEX_SESSION_END) {
        m_ended = true;
        m_end.how = static_cast<kortex_end>(detail::get_u32(frame.payload, 0));
        m_end.code = static_cast<int>(detail::get_u32(frame.payload, 4));
      }
    }
    return true;
  }

  void write_output() {
    const char* const data = m_client.m_incoming.get() + m_client.m_begin;
    const Sink& sink = m_output_type == KORTEX_SESSION_STDOUT ? m_out : m_err;
    const ssize_t n = ::write(sink.fd, data, std::min(sink.at_once, m_output_left));
    if (n < 0) {
      if (errno == EAGAIN || errno == EINTR) return;
      output_lost(errno);
      return;
    }
    if (m_follow_modes)
      for (ssize_t i = 0; i < n; ++i) kortex_terminal_byte(&m_terminal, static_cast<std::uint8_t>(data[i]));
    m_client.m_begin += static_cast<std::size_t>(n);
    m_output_left -= static_cast<std::size_t>(n);
  }

  void output_lost(int error) {
    m_client.m_begin += m_output_left;
    m_output_left = 0;
    if (m_kind != Kind::run) {
      m_left = true;  // nobody watches any more
      return;
    }
    if (error != EPIPE || m_streams.tty)
      throw Error(KORTEX_E_FAILED, std::string("cannot write the program's output: ") + detail::reason(error));
    // as in a pipeline without us: the program learns of it when it writes again
    const bool err = m_output_type == KORTEX_SESSION_STDERR;
    (err ? m_err : m_out).fd = -1;
    std::string payload;
    detail::put_u32(payload, err ? KORTEX_STREAM_STDERR : KORTEX_STREAM_STDOUT);
    m_client.send(KORTEX_SESSION_OUTPUT_CLOSED, payload);
  }

  void take_input() {
    char data[65536];
    const std::size_t most = m_in_is_terminal ? 4096 : std::min<std::size_t>(sizeof data, m_credit);
    const ssize_t n = ::read(m_streams.in, data, most);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (n <= 0) {
      m_input_open = false;
      if (m_kind == Kind::run)
        m_client.send(KORTEX_SESSION_STDIN_EOF);
      else if (m_in_is_terminal)
        m_left = true;  // the terminal has gone; where input was a file or a pipe, the user goes on watching
      return;
    }
    std::string typed;
    m_left = m_keys.feed(data, static_cast<std::size_t>(n), typed);
    pass_on(typed);
    if (m_left) m_client.flush(false);
  }

  void pass_on(std::string& typed) {
    // a program that has left a megabyte unread loses what is typed on top, as on any terminal
    if (typed.size() > m_credit) typed.resize(m_credit);
    if (typed.empty()) return;
    m_credit -= typed.size();
    m_client.send(KORTEX_SESSION_STDIN, typed);
  }

  void take_resize() {
    char bytes[256];
    if (::read(m_streams.resize_fd, bytes, sizeof bytes) <= 0) {
      m_streams.resize_fd = -1;
      return;
    }
    for (const int fd : {m_streams.out, m_streams.in}) {
      winsize size{};
      if (fd < 0 || ::ioctl(fd, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) continue;
      if (m_kind == Kind::watch) return;
      std::string payload;
      detail::put_u16(payload, size.ws_row);
      detail::put_u16(payload, size.ws_col);
      m_client.send(KORTEX_SESSION_RESIZE, payload);
      return;
    }
  }

  void take_signals() {
    unsigned char numbers[64];
    const ssize_t n = ::read(m_streams.signal_fd, numbers, sizeof numbers);
    if (n <= 0) {
      m_streams.signal_fd = -1;
      return;
    }
    for (ssize_t i = 0; i < n && m_kind != Kind::watch; ++i) {
      std::string payload;
      detail::put_u32(payload, numbers[i]);
      m_client.send(KORTEX_SESSION_SIGNAL, payload);
    }
  }

  /// The user's terminal gets back what the program set and did not take back. Best effort: it may be gone.
  void restore_terminal() {
    if (!m_follow_modes || m_out.fd < 0) return;
    char sequence[KORTEX_TERMINAL_SEQUENCE_MAX];
    const std::size_t size = kortex_terminal_resetting(&m_terminal, sequence);
    pollfd out{m_out.fd, POLLOUT, 0};
    if (size > 0 && ::poll(&out, 1, 500) == 1) {
      const ssize_t ignored = ::write(m_out.fd, sequence, size);
      (void)ignored;
    }
  }

  static constexpr int key_patience_ms = 700;

  Client& m_client;
  Streams m_streams;
  Kind m_kind;
  DetachKeys m_keys;
  Sink m_out, m_err;
  bool m_in_is_terminal;
  bool m_input_open = false, m_follow_modes = false;
  bool m_left = false, m_ended = false, m_gone = false;
  End m_end;
  std::size_t m_credit = KORTEX_SESSION_WINDOW;
  std::uint8_t m_output_type = 0;
  std::size_t m_output_left = 0;  // of the head frame
  kortex_terminal m_terminal{};
};

namespace detail {
inline std::string attach_payload(std::uint32_t flags, const Streams& streams) {
  std::string payload;
  put_u32(payload, flags);
  put_u16(payload, streams.rows);
  put_u16(payload, streams.cols);
  return payload;
}
}  // namespace detail

inline End Client::attach(const Streams& streams, bool read_only) {
  send(KORTEX_SESSION_ATTACH, detail::attach_payload(read_only ? KORTEX_SESSION_READ_ONLY : 0, streams));
  return Session(*this, streams, Session::Kind::attach).run();
}

inline End Client::follow(const Streams& streams, const std::function<void(const LogEnd&)>& before) {
  send(KORTEX_SESSION_ATTACH, detail::attach_payload(KORTEX_SESSION_READ_ONLY | KORTEX_SESSION_NO_REPLAY, streams));
  if (before) {
    const Frame answer = receive(streams.cancel_fd);
    if (answer.type == KORTEX_SESSION_ERROR) rethrow(answer);
    LogEnd end;
    end.known = answer.payload.size() >= 12;
    end.file = detail::get_u32(answer.payload, 0) == 1 ? 1 : 0;
    end.size = static_cast<std::uint64_t>(detail::get_u64(answer.payload, 4));
    before(end);
  }
  return Session(*this, streams, Session::Kind::watch).run();
}

inline End Client::run(const Program& program, const Streams& streams) {
  Program sized = program;
  if (sized.rows == 0) sized.rows = streams.rows;
  if (sized.cols == 0) sized.cols = streams.cols;
  send(KORTEX_SESSION_RUN, detail::program_payload(sized));
  return Session(*this, streams, Session::Kind::run).run();
}

}  // namespace kortex::session
#endif
