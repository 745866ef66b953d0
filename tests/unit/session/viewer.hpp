/// Somebody at a terminal, looking at the agent or at a program of its own.
#pragma once

#include <stdlib.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <functional>
#include <future>
#include <optional>

#include "holder_process.hpp"

namespace kortex::test {

class Viewer {
 public:
  using Session = std::function<session::End(session::Client&, const session::Streams&)>;

  explicit Viewer(const Holder& holder, unsigned rows = 24, unsigned cols = 80, Session session = {})
      : m_master(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)), m_cancel(Pipe::make()), m_resize(Pipe::make()) {
    ::grantpt(m_master.get());
    ::unlockpt(m_master.get());
    m_slave.reset(::open(::ptsname(m_master.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios raw{};
    ::tcgetattr(m_slave.get(), &raw);
    ::cfmakeraw(&raw);
    ::tcsetattr(m_slave.get(), TCSANOW, &raw);
    set_size(rows, cols);
    session::Streams streams;
    streams.in = streams.out = m_slave.get();
    streams.resize_fd = m_resize.read.get();
    streams.cancel_fd = m_cancel.read.get();
    streams.tty = true;
    streams.rows = static_cast<std::uint16_t>(rows);
    streams.cols = static_cast<std::uint16_t>(cols);
    streams.detach_keys = "\x10\x11";
    if (!session) session = [](session::Client& client, const session::Streams& s) { return client.attach(s); };
    m_end = std::async(std::launch::async, [&holder, session, streams] {
      session::Client client = holder.client();
      return session(client, streams);
    });
  }
  ~Viewer() {
    m_cancel.write.reset();
    while (m_end.valid() && m_end.wait_for(std::chrono::milliseconds(10)) != std::future_status::ready) drain();
  }

  /// Reads until `text` has come, or our patience ends; what came after it is for the next call.
  bool sees(const std::string& text, int timeout_ms = patience_ms) {
    for (;;) {
      const std::size_t at = m_unread.find(text);
      if (at != std::string::npos) {
        m_unread.erase(0, at + text.size());
        return true;
      }
      if (!readable(m_master.get(), timeout_ms) || !drain()) return false;
    }
  }
  void types(const std::string& text) const { BOOST_REQUIRE(::write(m_master.get(), text.data(), text.size()) > 0); }
  void resizes(unsigned rows, unsigned cols) {
    set_size(rows, cols);
    BOOST_REQUIRE(::write(m_resize.write.get(), "w", 1) == 1);
  }
  session::End end() {
    BOOST_REQUIRE(m_end.wait_for(std::chrono::milliseconds(patience_ms)) == std::future_status::ready);
    return m_end.get();
  }
  /// All that has been shown so far.
  const std::string& everything() {
    while (readable(m_master.get(), 0) && drain()) continue;
    return m_everything;
  }

 private:
  void set_size(unsigned rows, unsigned cols) const {
    winsize size{};
    size.ws_row = static_cast<unsigned short>(rows);
    size.ws_col = static_cast<unsigned short>(cols);
    ::ioctl(m_master.get(), TIOCSWINSZ, &size);
  }
  bool drain() {
    char bytes[4096];
    if (!readable(m_master.get(), 0)) return false;
    const ssize_t n = ::read(m_master.get(), bytes, sizeof bytes);
    if (n <= 0) return false;
    m_unread.append(bytes, static_cast<std::size_t>(n));
    m_everything.append(bytes, static_cast<std::size_t>(n));
    return true;
  }

  Fd m_master, m_slave;
  Pipe m_cancel, m_resize;
  std::string m_unread, m_everything;
  std::future<session::End> m_end;
};

}  // namespace kortex::test
