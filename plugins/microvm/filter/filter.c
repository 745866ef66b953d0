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
  struct stream *back; /* the other direction */
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

static uint16_t checksum(uint32_t sum, const unsigned char *bytes, size_t size) {
  for (size_t i = 0; i < size; i += 2) sum += (uint32_t)bytes[i] << 8 | (i + 1 < size ? bytes[i + 1] : 0);
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return (uint16_t)~sum;
}

static void put16(unsigned char *at, uint32_t value) {
  at[0] = (unsigned char)(value >> 8);
  at[1] = (unsigned char)value;
}

static void put32(unsigned char *at, uint32_t value) {
  put16(at, value >> 16);
  put16(at + 2, value);
}

/* passt of 2023 completes a connection to the guest only when its client has said something, so that a server that
 * speaks first is never heard. The last step of the handshake is made here; passt's own, later, is then a repetition. */
static void complete_handshake(const unsigned char *frame, size_t size, struct stream *back) {
  enum { IP = 20, TCP = 20, WHOLE = ETHERNET + IP + TCP };
  const unsigned char *ip = frame + ETHERNET;
  const size_t header = (size_t)(ip[0] & 15) * 4;
  if (frame[12] != 8 || frame[13] != 0 || ip[9] != 6 || header < IP || size < ETHERNET + header + TCP || ((ip[6] & 0x1f) | ip[7])) return;
  const unsigned char *tcp = ip + header;
  if ((tcp[13] & 0x3f) != 0x12 || sizeof back->out - back->out_end < LENGTH + WHOLE) return;
  unsigned char *at = back->out + back->out_end;
  memset(at, 0, LENGTH + WHOLE);
  put32(at, WHOLE);
  at += LENGTH;
  memcpy(at, frame + 6, 6);
  memcpy(at + 6, frame, 6);
  at[12] = 8;
  unsigned char *to_ip = at + ETHERNET, *to_tcp = to_ip + IP;
  to_ip[0] = 0x45;
  put16(to_ip + 2, IP + TCP);
  to_ip[8] = 255;
  to_ip[9] = 6;
  memcpy(to_ip + 12, ip + 16, 4);
  memcpy(to_ip + 16, ip + 12, 4);
  put16(to_ip + 10, checksum(0, to_ip, IP));
  memcpy(to_tcp, tcp + 2, 2);
  memcpy(to_tcp + 2, tcp, 2);
  memcpy(to_tcp + 4, tcp + 8, 4);
  put32(to_tcp + 8, number(tcp + 4) + 1);
  to_tcp[12] = TCP / 4 << 4;
  to_tcp[13] = 0x10;
  put16(to_tcp + 14, 1024);
  uint32_t sum = 6 + TCP; /* the protocol and length of the pseudo-header, then its addresses */
  for (int i = 12; i < 20; i += 2) sum += (uint32_t)to_ip[i] << 8 | to_ip[i + 1];
  put16(to_tcp + 16, checksum(sum, to_tcp, TCP));
  back->out_end += LENGTH + WHOLE;
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
      if (s->filtered) complete_handshake(s->in + at + LENGTH, size, s->back);
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
  up.back = &down;
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
