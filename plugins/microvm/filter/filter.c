/* Between the guest's network card and passt: passes on what goes to other machines, and drops what is addressed to
 * this one's loopback. passt connects to whatever address a packet names, and whoever rules in the guest can name
 * 127.0.0.1; so that "the network" does not mean the services on this machine's loopback, this stands in between.
 *
 * Both ends are streams of frames, each after its length in four bytes, the most significant first.
 *   kortex-network-filter GUEST_FD PASST_FD */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LENGTH = 4, FRAME_MAX = 65536 + 64, ETHERNET = 14, ROOM = 2 * (LENGTH + FRAME_MAX) };

struct stream {
  int from, to;
  bool filtered;
  unsigned char in[ROOM], out[ROOM];
  size_t in_size, out_begin, out_end;
};

static uint32_t number(const unsigned char *at) {
  return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static bool allowed(const unsigned char *frame, size_t size) {
  if (size < ETHERNET) return false;
  const unsigned type = (unsigned)frame[12] << 8 | frame[13];
  if (type == 0x0806) return true; /* ARP */
  if (type != 0x0800 || size < ETHERNET + 20 || frame[ETHERNET] >> 4 != 4) return false;
  const unsigned char *destination = frame + ETHERNET + 16;
  /* 0.0.0.0/8 means this machine as well, to those who connect to it. */
  return destination[0] != 127 && destination[0] != 0;
}

/* False: what comes is no stream of frames. */
static bool sort(struct stream *s) {
  size_t at = 0;
  if (s->out_begin == s->out_end) s->out_begin = s->out_end = 0;
  if (s->out_begin) {
    memmove(s->out, s->out + s->out_begin, s->out_end - s->out_begin);
    s->out_end -= s->out_begin;
    s->out_begin = 0;
  }
  while (s->in_size - at >= LENGTH) {
    const uint32_t size = number(s->in + at);
    if (size > FRAME_MAX) return false;
    if (s->in_size - at < LENGTH + size || sizeof s->out - s->out_end < LENGTH + size) break;
    if (!s->filtered || allowed(s->in + at + LENGTH, size)) {
      memcpy(s->out + s->out_end, s->in + at, LENGTH + size);
      s->out_end += LENGTH + size;
    }
    at += LENGTH + size;
  }
  memmove(s->in, s->in + at, s->in_size - at);
  s->in_size -= at;
  return true;
}

/* False: one side has gone. */
static bool move(struct stream *s) {
  if (s->in_size < sizeof s->in) {
    const ssize_t n = recv(s->from, s->in + s->in_size, sizeof s->in - s->in_size, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) return false;
    if (n > 0) s->in_size += (size_t)n;
  }
  for (;;) {
    if (!sort(s)) return false;
    if (s->out_begin == s->out_end) return true;
    const ssize_t n = send(s->to, s->out + s->out_begin, s->out_end - s->out_begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno == EAGAIN;
    s->out_begin += (size_t)n;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  static struct stream up, down;
  up.from = down.to = atoi(argv[1]);
  up.to = down.from = atoi(argv[2]);
  up.filtered = true;
  if (geteuid() == 0 && (setgroups(0, NULL) != 0 || setgid(65534) != 0 || setuid(65534) != 0)) return 71;
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_NAME, "kortex-network");
  for (;;) {
    struct stream *const both[] = {&up, &down};
    struct pollfd fds[2] = {{up.from, 0, 0}, {up.to, 0, 0}};
    for (int i = 0; i < 2; ++i) {
      if (both[i]->in_size < sizeof both[i]->in) fds[i].events |= POLLIN;
      if (both[i]->out_begin < both[i]->out_end) fds[1 - i].events |= POLLOUT;
    }
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return 1;
    if (!move(&up) || !move(&down)) return 0;
  }
}
