#include "cli/output/stream.hpp"

#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "system/error.hpp"

namespace kortex::host {

int write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
      continue;
    }
    if (errno == EAGAIN) {
      pollfd ready{fd, POLLOUT, 0};
      ::poll(&ready, 1, -1);
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

Stream& Stream::operator<<(std::string_view text) {
  m_pending += text;
  if (m_pending.size() > (1u << 16)) flush();
  return *this;
}

void Stream::flush() {
  const std::string bytes = std::move(m_pending);
  m_pending.clear();
  const int error = write_all(m_fd, bytes);
  if (error == EPIPE) throw ReaderGone{};
  if (error != 0) throw Error(ErrorKind::failed, "cannot write to standard output: " + reason_of(error));
}

}  // namespace kortex::host
