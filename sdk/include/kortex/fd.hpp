/// Owning file descriptors. Header-only, C++17, no dependency but the C library.
///
///     kortex::Fd lock = kortex::Fd(::open(path, O_RDWR | O_CLOEXEC));
///     kortex::Pipe ready = kortex::Pipe::make();   // both ends close-on-exec
///
/// Not thread-safe; a moved-from Fd is empty. close() errors are not reported: nothing can be done
/// about them, and on Linux the descriptor is gone whatever close() says.
#ifndef KORTEX_FD_HPP
#define KORTEX_FD_HPP

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

namespace kortex {

class Fd {
 public:
  Fd() noexcept = default;
  /// Takes ownership; a negative number makes an empty Fd.
  explicit Fd(int fd) noexcept : m_fd(fd) {}
  Fd(Fd&& other) noexcept : m_fd(other.release()) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  [[nodiscard]] int get() const noexcept { return m_fd; }
  explicit operator bool() const noexcept { return m_fd >= 0; }
  [[nodiscard]] int release() noexcept { return std::exchange(m_fd, -1); }
  void reset(int fd = -1) noexcept {
    if (m_fd >= 0) ::close(m_fd);
    m_fd = fd;
  }

 private:
  int m_fd = -1;
};

struct Pipe {
  Fd read;
  Fd write;

  /// Both ends close-on-exec. Throws std::system_error.
  [[nodiscard]] static Pipe make(int flags = 0) {
    int ends[2];
    Pipe pipe;
#if defined(__APPLE__)  // it has no way to do both at once
    if (::pipe(ends) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    pipe.read.reset(ends[0]);
    pipe.write.reset(ends[1]);
    for (const int end : ends)
      if (::fcntl(end, F_SETFD, FD_CLOEXEC) != 0 || (flags != 0 && ::fcntl(end, F_SETFL, flags) != 0))
        throw std::system_error(errno, std::generic_category(), "pipe");
#else
    if (::pipe2(ends, O_CLOEXEC | flags) != 0) throw std::system_error(errno, std::generic_category(), "pipe");
    pipe.read.reset(ends[0]);
    pipe.write.reset(ends[1]);
#endif
    return pipe;
  }
};

}  // namespace kortex
#endif
