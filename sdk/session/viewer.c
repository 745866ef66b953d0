#include <kortex/runtime.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "holder.h"

unsigned viewer_count(const struct holder *h) {
  unsigned count = 0;
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i)
    count += h->connections[i].fd >= 0 && h->connections[i].role == ROLE_VIEWER;
  return count;
}

void viewer_attach(struct holder *h, struct connection *c, const struct frame *f) {
  if (!h->agent && !h->agent_ended) {
    connection_fail(c, KORTEX_E_STATE, "the agent has not been started");
    return;
  }
  struct frame_fields fields = fields_of(f);
  const uint32_t flags = field_u32(&fields);
  c->rows = field_u16(&fields);
  c->cols = field_u16(&fields);
  c->read_only = flags & KORTEX_SESSION_READ_ONLY;
  c->role = ROLE_VIEWER;
  if (flags & KORTEX_SESSION_NO_REPLAY) {
    /* every byte is in the log already or comes live, and which is which is told */
    unsigned char payload[12];
    put_u32(payload, (uint32_t)h->log.current);
    put_u64(payload + 4, output_log_size(&h->log));
    connection_send(c, KORTEX_SESSION_OK, payload, sizeof payload);
    c->position = h->output.end;
    connection_flush(h, c);
    return;
  }
  connection_send(c, KORTEX_SESSION_OK, NULL, 0);
  if (!c->read_only) {
    const bool changes = c->rows && c->cols && (c->rows != h->rows || c->cols != h->cols);
    holder_resize(h, c->rows, c->cols);
    if (!changes) viewer_redraw(h);
  }
  c->position = h->output.rest;
  if (!output_replay(&h->output, REPLAY_RECENT, &c->queue, &c->position)) {
    connection_close(h, c);
    return;
  }
  connection_flush(h, c);
}

/* A program on the alternate screen redraws when its size changes, and many only then: one row less for a
 * moment. */
void viewer_redraw(struct holder *h) {
  if (!kortex_terminal_is_alternate(&h->output.terminal) || h->master < 0 || h->rows < 3) return;
  const struct winsize size = {.ws_row = (unsigned short)(h->rows - 1), .ws_col = h->cols};
  if (ioctl(h->master, TIOCSWINSZ, &size) == 0) h->redraw_at = now_ms() + REDRAW_MS;
}

/* Takes from the ring what the queue has room for: a viewer that does not read costs nobody anything. */
void viewer_fill(struct holder *h, struct connection *c) {
  struct output *o = &h->output;
  if (c->end_queued || c->finishing) return;
  if (c->position < output_oldest(o)) c->lagged = true;
  if (c->lagged) {
    if (c->queue.size) return;
    if (!output_replay(o, REPLAY_AFTER_LAG, &c->queue, &c->position)) return;
    c->lagged = false;
    viewer_redraw(h);
  }
  while (c->position < o->end && c->queue.size < VIEWER_QUEUE) {
    size_t size;
    const unsigned char *part = output_at(o, c->position, &size);
    if (size > KORTEX_SESSION_PAYLOAD_MAX) size = KORTEX_SESSION_PAYLOAD_MAX;
    if (!connection_send(c, KORTEX_SESSION_STDOUT, part, size)) return;
    c->position += size;
  }
  if (c->position == o->end && h->agent_ended) {
    connection_end(c, h->stopped ? KORTEX_END_STOPPED : KORTEX_END_EXITED, h->agent_code);
    c->end_queued = true;
  }
}

static void resize_to(struct holder *h, struct connection *c) {
  if (c->rows && c->cols) holder_resize(h, c->rows, c->cols);
}

bool viewer_frame(struct holder *h, struct connection *c, const struct frame *f) {
  struct frame_fields fields = fields_of(f);
  switch (f->type) {
    case KORTEX_SESSION_STDIN:
      if (c->read_only || h->master < 0) return true;
      /* credit goes back when the agent has taken it; all viewers share one queue */
      if (f->length > KORTEX_SESSION_WINDOW - c->input_held) return false;
      c->input_held += f->length;
      resize_to(h, c);
      return buffer_append(&h->input, f->payload, f->length);
    case KORTEX_SESSION_RESIZE:
      c->rows = field_u16(&fields);
      c->cols = field_u16(&fields);
      if (!c->read_only) resize_to(h, c);
      return true;
    case KORTEX_SESSION_SIGNAL: {
      const uint32_t number = field_u32(&fields);
      if (c->read_only || number == 0 || number >= NSIG || h->master < 0) return true;
      const pid_t group = tcgetpgrp(h->master);
      if (group > 1) kill(-group, (int)number);
      return true;
    }
    default: return true;
  }
}
