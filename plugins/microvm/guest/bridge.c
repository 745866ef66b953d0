/* Sessions. Each virtio port carries one at a time, between a kortex-cli on the host and a connection to the
 * session holder. The stream is the session protocol's bytes with one of them escaped, so that a new client can say
 * "from here on it is me" whatever its predecessor left half said when it was killed:
 *     ESC 'L'                 a literal ESC (0xf5: in no UTF-8 text)
 *     ESC 'R' NONCE TIME      host: a new session; 16 hexadecimal digits each, TIME is the host's, in Unix ms
 *     ESC 'A' NONCE           guest: what follows is that session's
 *     ESC 'X'                 both: the session is over
 *     ESC 'P'                 host: end the machine
 * ESC ESC begins anew: the first of them was the last byte of somebody's who was killed.
 *
 * A killed client is noticed by the port's hang-up. That comes on another queue than the bytes, so a hang-up that
 * is seen may be older than a RESET that has been read: it counts only when it lasts. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum {
  ESC = 0xf5,
  PORTS_MAX = 30,
  ROOM = 64 << 10,
  HANG_UP_MS = 1000, /* how long a hang-up lasts that is one */
  DRAIN_MS = 3000    /* for clients to take what the holder said last */
};

enum { FIRST_PORT_MS = 30000 };

enum state { DATA, ESCAPED, RESETTING };

struct stream {
  unsigned char bytes[2 * ROOM + 64];
  size_t begin, end;
};

struct port {
  int fd, connection;
  bool session; /* somebody is there on the host */
  bool closing; /* the host has said its last: the connection ends when it has all */
  enum state state;
  char digits[32];
  unsigned digit_count;
  int64_t hung_up_at; /* 0: not */
  struct stream up, down; /* towards the holder; towards the host */
};

static struct port ports[PORTS_MAX];
static unsigned port_count;
static int events_fd;
static const struct life *life;

static size_t pending(const struct stream *s) { return s->end - s->begin; }

static void compact(struct stream *s) {
  if (s->begin == s->end)
    s->begin = s->end = 0;
  else if (s->begin > ROOM / 2) {
    memmove(s->bytes, s->bytes + s->begin, pending(s));
    s->end -= s->begin;
    s->begin = 0;
  }
}

static void watch(int fd, struct port *port) {
  struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.ptr = port};
  if (epoll_ctl(events_fd, EPOLL_CTL_ADD, fd, &event) != 0) die_errno("watch", "a session");
}

static void hang_up(struct port *p) {
  if (p->connection >= 0) close(p->connection);
  p->connection = -1;
  p->closing = false;
  p->up.begin = p->up.end = 0;
}

static void say(struct port *p, char what, const char *more, size_t size) {
  unsigned char *at = p->down.bytes + p->down.end;
  *at++ = ESC;
  *at++ = (unsigned char)what;
  memcpy(at, more, size);
  p->down.end += 2 + size;
}

static void connect_to_holder(struct port *p) {
  const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SESSION_SOCKET};
  p->connection = life->holder ? socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) : -1;
  if (p->connection >= 0 && connect(p->connection, (const struct sockaddr *)&address, sizeof address) == 0) {
    fcntl(p->connection, F_SETFL, O_NONBLOCK);
    watch(p->connection, p);
    return;
  }
  hang_up(p);
}

static int64_t number_of(const char *digits) {
  char text[17];
  memcpy(text, digits, 16);
  text[16] = 0;
  return (int64_t)strtoull(text, NULL, 16);
}

/* The host may have slept. */
static void follow_clock(int64_t host_ms) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  const int64_t off = host_ms - ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
  if (off > -1000 && off < 1000) return;
  now.tv_sec = (time_t)(host_ms / 1000);
  now.tv_nsec = (long)(host_ms % 1000) * 1000000;
  clock_settime(CLOCK_REALTIME, &now);
}

static void reset(struct port *p) {
  hang_up(p);
  p->down.begin = p->down.end = 0;
  p->session = true;
  p->hung_up_at = 0;
  follow_clock(number_of(p->digits + 16));
  say(p, 'A', p->digits, 16);
  connect_to_holder(p);
  if (p->connection < 0) say(p, 'X', "", 0);
}

static void take_control(struct port *p, unsigned char byte) {
  p->state = DATA;
  switch (byte) {
    case ESC: p->state = ESCAPED; break;
    case 'L': p->up.bytes[p->up.end++] = ESC; break;
    case 'R':
      p->state = RESETTING;
      p->digit_count = 0;
      break;
    case 'X':
      p->session = false;
      p->closing = true;
      break;
    case 'P':
      if (life->holder) kill(life->holder, SIGKILL);
      break;
    default: break; /* somebody's who was killed */
  }
}

static void take_bytes(struct port *p, const unsigned char *bytes, size_t size) {
  const unsigned char *const end = bytes + size;
  while (bytes < end) {
    if (p->state == DATA) {
      const unsigned char *escape = memchr(bytes, ESC, (size_t)(end - bytes));
      const size_t plain = (size_t)((escape ? escape : end) - bytes);
      memcpy(p->up.bytes + p->up.end, bytes, plain);
      p->up.end += plain;
      bytes += plain;
      if (escape) {
        p->state = ESCAPED;
        ++bytes;
      }
      continue;
    }
    const unsigned char byte = *bytes++;
    if (p->state == ESCAPED) {
      take_control(p, byte);
    } else if (byte == ESC) {
      p->state = ESCAPED;
    } else {
      p->digits[p->digit_count++] = (char)byte;
      if (p->digit_count == sizeof p->digits) {
        p->state = DATA;
        reset(p);
      }
    }
  }
  if (p->connection < 0) p->up.begin = p->up.end = 0; /* nobody's */
}

static bool read_port(struct port *p) {
  static unsigned char bytes[ROOM];
  compact(&p->up);
  if (pending(&p->up) > ROOM / 2 || p->closing) return false;
  const ssize_t n = read(p->fd, bytes, ROOM / 2);
  if (n > 0) {
    p->hung_up_at = 0;
    take_bytes(p, bytes, (size_t)n);
    return true;
  }
  if (n == 0 && p->session && !p->hung_up_at) p->hung_up_at = now_ms();
  if (n < 0) p->hung_up_at = 0;
  return false;
}

static bool write_holder(struct port *p) {
  if (p->connection < 0 && p->closing) hang_up(p);
  if (p->connection < 0) return false;
  if (!pending(&p->up)) {
    if (p->closing) hang_up(p);
    return false;
  }
  const ssize_t n = send(p->connection, p->up.bytes + p->up.begin, pending(&p->up), MSG_NOSIGNAL);
  if (n > 0) {
    p->up.begin += (size_t)n;
    return true;
  }
  if (n < 0 && errno != EAGAIN && errno != EINTR) p->up.begin = p->up.end = 0; /* what it still says is read below */
  return false;
}

static bool read_holder(struct port *p) {
  static unsigned char bytes[ROOM / 2];
  compact(&p->down);
  if (p->connection < 0 || pending(&p->down) > ROOM / 2) return false;
  const ssize_t n = recv(p->connection, bytes, sizeof bytes, 0);
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
  if (n <= 0) {
    hang_up(p);
    say(p, 'X', "", 0);
    return true;
  }
  const unsigned char *at = bytes;
  for (size_t left = (size_t)n; left;) {
    const unsigned char *escape = memchr(at, ESC, left);
    const size_t plain = escape ? (size_t)(escape - at) : left;
    memcpy(p->down.bytes + p->down.end, at, plain);
    p->down.end += plain;
    if (escape) say(p, 'L', "", 0);
    at += plain + (escape ? 1 : 0);
    left -= plain + (escape ? 1 : 0);
  }
  return true;
}

static bool write_port(struct port *p) {
  if (!pending(&p->down)) return false;
  const ssize_t n = write(p->fd, p->down.bytes + p->down.begin, pending(&p->down));
  if (n <= 0) return false;
  p->down.begin += (size_t)n;
  return true;
}

/* Until nothing moves: the events are told once. */
static void pump(struct port *p) {
  bool moved;
  do {
    moved = read_port(p);
    moved |= write_holder(p);
    moved |= read_holder(p);
    moved |= write_port(p);
  } while (moved);
}

static void end_lost_sessions(void) {
  const int64_t now = now_ms();
  for (unsigned i = 0; i < port_count; ++i) {
    struct port *p = &ports[i];
    if (!p->hung_up_at || now < p->hung_up_at + HANG_UP_MS) continue;
    struct pollfd look = {p->fd, POLLIN, 0};
    p->hung_up_at = 0;
    if (poll(&look, 1, 0) == 1 && look.revents & POLLHUP) {
      hang_up(p);
      p->session = false;
      p->down.begin = p->down.end = 0;
    }
  }
}

static bool in_use(void) {
  for (unsigned i = 0; i < port_count; ++i)
    if (ports[i].session) return true;
  return false;
}

static int patience(int64_t drained_at) {
  int64_t next = drained_at ? drained_at : INT64_MAX;
  for (unsigned i = 0; i < port_count; ++i)
    if (ports[i].hung_up_at && ports[i].hung_up_at + HANG_UP_MS < next) next = ports[i].hung_up_at + HANG_UP_MS;
  if (next == INT64_MAX) return -1;
  const int64_t left = next - now_ms();
  return left < 0 ? 0 : (int)left + 1;
}

/* Once each. */
static void take_port(unsigned number) {
  struct port *p = number >= 1 && number <= port_count ? &ports[number - 1] : NULL;
  if (!p || p->fd >= 0 || (p->fd = port_open(number)) < 0) return;
  watch(p->fd, p);
}

/* Something may have been said before it was opened: that event is told at once. */
static void take_new_ports(int devices) {
  for (unsigned number; port_appeared(devices, &number);) take_port(number);
}

void bridge_serve(struct life *of, unsigned count) {
  life = of;
  port_count = count < PORTS_MAX ? count : PORTS_MAX;
  events_fd = epoll_create1(EPOLL_CLOEXEC);
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  if (events_fd < 0 || signals < 0 || epoll_ctl(events_fd, EPOLL_CTL_ADD, signals, &event) != 0) die_errno("watch", "the session holder");
  for (unsigned i = 0; i < port_count; ++i) ports[i].fd = ports[i].connection = -1;
  const int devices = ports_watch();
  event.data.ptr = &events_fd; /* of no port */
  if (epoll_ctl(events_fd, EPOLL_CTL_ADD, devices, &event) != 0) die_errno("watch for", "session ports");
  for (unsigned number = 1; number <= port_count; ++number) take_port(number);
  const int64_t first_port_at = now_ms() + FIRST_PORT_MS;
  int64_t drained_at = 0;
  for (;;) {
    if (!life_reap(of) && !drained_at) drained_at = now_ms() + DRAIN_MS;
    if (drained_at && (!in_use() || now_ms() >= drained_at)) return;
    struct epoll_event ready[32];
    const bool reachable = ports[0].fd >= 0;
    if (!reachable && now_ms() >= first_port_at) die("the session port did not appear");
    const int got = epoll_wait(events_fd, ready, 32, reachable ? patience(drained_at) : 1000);
    for (int i = 0; i < got; ++i) {
      struct port *p = ready[i].data.ptr;
      struct signalfd_siginfo info;
      if (ready[i].data.ptr == &events_fd)
        take_new_ports(devices);
      else if (p)
        pump(p);
      else
        while (read(signals, &info, sizeof info) > 0) continue;
    }
    end_lost_sessions();
  }
}
