#include "output_log.h"

#include <errno.h>
#include <kortex/session_protocol.h>
#include <sys/stat.h>
#include <unistd.h>

static off_t size_of(int fd) {
  struct stat st;
  return fd >= 0 && fstat(fd, &st) == 0 ? st.st_size : 0;
}

void output_log_init(struct output_log *log, int fd0, int fd1) {
  log->fds[0] = fd0;
  log->fds[1] = fd1;
  const off_t first = size_of(fd0), second = size_of(fd1);
  /* go on where an earlier holder stopped: the one that is not full, and of two such the one in use */
  log->current = first >= (off_t)KORTEX_SESSION_LOG_MAX || (second > 0 && first == 0) ? 1 : 0;
}

uint64_t output_log_size(const struct output_log *log) { return (uint64_t)size_of(log->fds[log->current]); }

void output_log_append(struct output_log *log, const unsigned char *data, size_t size) {
  while (size > 0) {
    const int fd = log->fds[log->current];
    if (fd < 0) return;
    const off_t at = size_of(fd);
    const size_t room = at < (off_t)KORTEX_SESSION_LOG_MAX ? (size_t)((off_t)KORTEX_SESSION_LOG_MAX - at) : 0;
    if (room == 0) {
      const int other = 1 - log->current;
      if (log->fds[other] < 0 || ftruncate(log->fds[other], 0) != 0) return;
      log->current = other;
      continue;
    }
    const ssize_t n = pwrite(fd, data, size < room ? size : room, at);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    data += n;
    size -= (size_t)n;
  }
}
