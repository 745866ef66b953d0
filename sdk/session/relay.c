#include "relay.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "program.h"

const char *enter_directory_of(const char *path) {
  const char *slash = strrchr(path, '/');
  if (!slash) return path;
  char *directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
  const int result = directory ? chdir(directory) : -1;
  free(directory);
  return result == 0 ? slash + 1 : NULL;
}

static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *name = enter_directory_of(path);
  if (!name) return -1;
  if (strlen(name) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, name, strlen(name) + 1);
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof address) != 0) return -1;
  return fd;
}

struct direction {
  int from, to;
  unsigned char data[64 << 10];
  size_t start, size;
  bool ended;
};

/* One step; false: the receiving end does not take any more. */
static bool copy(struct direction *d) {
  if (!d->size && !d->ended) {
    const ssize_t n = read(d->from, d->data, sizeof d->data);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    d->start = 0;
    d->size = n > 0 ? (size_t)n : 0;
    d->ended = n <= 0;
  }
  while (d->size) {
    const ssize_t n = write(d->to, d->data + d->start, d->size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    d->start += (size_t)n;
    d->size -= (size_t)n;
  }
  return true;
}

static void make_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

int relay(const char *socket_path) {
  const int fd = connect_to(socket_path);
  if (fd < 0) {
    fprintf(stderr, "kortex-session: cannot connect to '%s': %s\n", socket_path, reason(errno));
    return 1;
  }
  signal(SIGPIPE, SIG_IGN);
  make_nonblocking(0);
  make_nonblocking(1);
  make_nonblocking(fd);
  static struct direction up, down;
  up.from = 0;
  up.to = fd;
  down.from = fd;
  down.to = 1;
  bool shut = false;
  for (;;) {
    struct pollfd fds[4] = {
        {up.size || up.ended ? -1 : 0, POLLIN, 0},
        {up.size ? fd : -1, POLLOUT, 0},
        {down.size || down.ended ? -1 : fd, POLLIN, 0},
        {1, (short)(down.size ? POLLOUT : 0), 0}, /* always: a reader that has gone must end us too */
    };
    if (poll(fds, 4, -1) < 0 && errno != EINTR) return 1;
    if (!copy(&up)) up.size = 0;
    if (up.ended && !up.size && !shut) {
      shutdown(fd, SHUT_WR);
      shut = true;
    }
    /* either end may leave first; how the session ended is told within it */
    if (!copy(&down) || fds[3].revents & POLLERR || (down.ended && !down.size)) return 0;
  }
}
