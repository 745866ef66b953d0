/// Standard output as commands see it: collected, written once, and a failed write is an error of the command.
#pragma once

#include <string>
#include <string_view>

namespace kortex::host {

/// The reader went away (EPIPE): nobody is left to be told.
struct ReaderGone {};

class Stream {
 public:
  explicit Stream(int fd) : m_fd(fd) {}
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  Stream& operator<<(std::string_view text);
  /// Throws Error(failed) when the bytes could not be written, ReaderGone for EPIPE; they are dropped then.
  void flush();
  void discard() { m_pending.clear(); }
  [[nodiscard]] int fd() const { return m_fd; }

 private:
  int m_fd;
  std::string m_pending;
};

/// All of it, as far as possible; 0 or errno. Waits where the descriptor is non-blocking.
[[nodiscard]] int write_all(int fd, std::string_view bytes);

}  // namespace kortex::host
