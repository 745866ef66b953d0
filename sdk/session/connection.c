#include <errno.h>
#include <kortex/runtime.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "holder.h"

void connection_open(struct connection *c, int fd) {
  memset(c, 0, sizeof *c);
  c->fd = fd;
  c->poll_fd = -1;
  c->runner.in = c->runner.out = c->runner.err = c->runner.slave = -1;
}

void connection_close(struct holder *h, struct connection *c) {
  if (c->fd < 0) return;
  close(c->fd);
  c->fd = -1;
  buffer_free(&c->queue);
  frame_reader_free(&c->reader);
  if (c->role == ROLE_RUNNER) runner_hang_up(c);
  if (h->phase == PHASE_SERVING) h->idle_until = now_ms() + START_PATIENCE_MS;
}

bool connection_send(struct connection *c, uint8_t type, const void *payload, size_t size) {
  return frame_append(&c->queue, type, payload, size);
}

void connection_fail(struct connection *c, int32_t code, const char *text) {
  unsigned char payload[600];
  size_t length = strlen(text);
  if (length > sizeof payload - 4) length = sizeof payload - 4;
  put_u32(payload, (uint32_t)code);
  memcpy(payload + 4, text, length);
  connection_send(c, KORTEX_SESSION_ERROR, payload, 4 + length);
}

void connection_end(struct connection *c, uint32_t how, int code) {
  unsigned char payload[8];
  put_u32(payload, how);
  put_u32(payload + 4, (uint32_t)code);
  connection_send(c, KORTEX_SESSION_END, payload, sizeof payload);
  c->finishing = true;
}

static void answer_status(struct holder *h, struct connection *c) {
  unsigned char payload[28];
  put_u32(payload, h->agent_ended ? 2 : h->agent ? 1 : 0);
  put_u32(payload + 4, (uint32_t)h->agent_code);
  put_u64(payload + 8, (uint64_t)h->agent_pid);
  put_u64(payload + 16, (uint64_t)h->started_ms);
  put_u32(payload + 24, viewer_count(h));
  connection_send(c, KORTEX_SESSION_STATUS_IS, payload, sizeof payload);
}

static bool greet(struct connection *c, const struct frame *f) {
  struct frame_fields fields = fields_of(f);
  if (f->type != KORTEX_SESSION_HELLO || field_u32(&fields) != KORTEX_SESSION_MAGIC) return false;
  const uint16_t major = field_u16(&fields);
  unsigned char payload[8];
  put_u32(payload, KORTEX_SESSION_MAGIC);
  put_u16(payload + 4, KORTEX_SESSION_MAJOR);
  put_u16(payload + 6, KORTEX_SESSION_MINOR);
  connection_send(c, KORTEX_SESSION_HELLO, payload, sizeof payload);
  c->greeted = true;
  if (major != KORTEX_SESSION_MAJOR) {
    connection_fail(c, KORTEX_E_UNSUPPORTED, "the session speaks another version of the protocol; restart the workspace");
    c->finishing = true;
  }
  return true;
}

/* False: the client is dropped. */
static bool obey(struct holder *h, struct connection *c, const struct frame *f) {
  if (!c->greeted) return greet(c, f);
  if (c->role == ROLE_VIEWER) return viewer_frame(h, c, f);
  if (c->role == ROLE_RUNNER) return runner_frame(h, c, f);
  if (c->role != ROLE_NONE) return true;
  struct frame_fields fields = fields_of(f);
  switch (f->type) {
    case KORTEX_SESSION_STATUS: answer_status(h, c); return true;
    case KORTEX_SESSION_START: {
      struct program_request request;
      if (!program_request_read(f, &request)) return false;
      holder_start_agent(h, c, &request);
      program_request_free(&request);
      return true;
    }
    case KORTEX_SESSION_ATTACH: viewer_attach(h, c, f); return true;
    case KORTEX_SESSION_RUN: runner_start(h, c, f); return true;
    case KORTEX_SESSION_WAIT:
      c->role = ROLE_WAITER;
      connection_flush(h, c);
      return true;
    case KORTEX_SESSION_STOP:
      c->role = ROLE_STOPPER;
      connection_send(c, KORTEX_SESSION_OK, NULL, 0);
      holder_stop(h, field_u32(&fields));
      return true;
    default: return true; /* from a newer client, or late */
  }
}

void connection_flush(struct holder *h, struct connection *c) {
  if (c->fd < 0) return;
  if (c->role == ROLE_VIEWER) viewer_fill(h, c);
  if (c->role == ROLE_RUNNER) runner_finish(h, c);
  if (c->role == ROLE_WAITER && h->agent_ended && !c->finishing)
    connection_end(c, h->stopped ? KORTEX_END_STOPPED : KORTEX_END_EXITED, h->agent_code);
  while (c->queue.size) {
    const ssize_t n = send(c->fd, buffer_front(&c->queue), c->queue.size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) return;
    if (n <= 0) {
      connection_close(h, c);
      return;
    }
    buffer_consume(&c->queue, (size_t)n);
    if (c->role == ROLE_VIEWER) viewer_fill(h, c);
  }
  if (c->finishing && !c->write_shut) {
    /* the client closes; until then what it still sends is read, or it might see a reset before its END */
    shutdown(c->fd, SHUT_WR);
    c->write_shut = true;
  }
}

static void receive(struct holder *h, struct connection *c) {
  /* one read for each round, so that a busy client does not starve the others */
  const size_t room = 64 << 10;
  unsigned char *at = buffer_reserve(&c->reader.input, room);
  const ssize_t n = at ? recv(c->fd, at, room, MSG_DONTWAIT) : 0;
  if (n < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (n <= 0) {
    connection_close(h, c);
    return;
  }
  if (c->finishing) return; /* not committed: thrown away */
  buffer_commit(&c->reader.input, (size_t)n);
  struct frame f;
  enum frame_result result;
  while ((result = frame_next(&c->reader, &f)) == FRAME_READY) {
    if (!obey(h, c, &f)) {
      connection_close(h, c);
      return;
    }
    if (c->fd < 0 || c->finishing) return;
  }
  if (result == FRAME_GARBAGE) connection_close(h, c);
}

void connection_wait(struct holder *h, struct connection *c) {
  c->poll_fd = -1;
  if (c->fd >= 0) c->poll_fd = poll_add(&h->polls, c->fd, (short)(POLLIN | (c->queue.size ? POLLOUT : 0)));
  if (c->role == ROLE_RUNNER) runner_wait(h, c);
}

void connection_serve(struct holder *h, struct connection *c) {
  if (c->role == ROLE_RUNNER) runner_serve(h, c);
  if (c->fd >= 0 && poll_got(&h->polls, c->poll_fd) & (POLLIN | POLLHUP | POLLERR)) receive(h, c);
  connection_flush(h, c);
}
