#include <errno.h>
#include <kortex/runtime.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "holder.h"
#include "program.h"

static void close_fd(int *fd) {
  if (*fd >= 0) close(*fd);
  *fd = -1;
}

static void close_input(struct runner *r) {
  if (r->tty)
    r->in = -1; /* the same descriptor as `out` */
  else
    close_fd(&r->in);
  buffer_free(&r->input);
}

/* The agent's environment with the program's additions in place of what they override. */
static char **environment(char *const base[], char *const added[]) {
  size_t base_count = 0, added_count = 0;
  while (base && base[base_count]) ++base_count;
  while (added[added_count]) ++added_count;
  char **env = calloc(base_count + added_count + 1, sizeof *env);
  if (!env) return NULL;
  size_t count = 0;
  for (size_t i = 0; i < base_count; ++i) {
    const size_t name = strcspn(base[i], "=");
    bool overridden = false;
    for (size_t j = 0; j < added_count && !overridden; ++j)
      overridden = strcspn(added[j], "=") == name && !strncmp(base[i], added[j], name);
    if (!overridden) env[count++] = base[i];
  }
  for (size_t i = 0; i < added_count; ++i) env[count++] = added[i];
  return env;
}

void runner_start(struct holder *h, struct connection *c, const struct frame *f) {
  struct program_request request;
  if (h->phase != PHASE_RUNNING) {
    connection_fail(c, KORTEX_E_STATE, h->phase == PHASE_SERVING ? "the agent has not been started" : "the workspace is stopping");
    return;
  }
  if (!program_request_read(f, &request)) {
    connection_fail(c, KORTEX_E_INVALID, "malformed request");
    c->finishing = true;
    return;
  }
  struct runner *r = &c->runner;
  memset(r, 0, sizeof *r);
  r->in = r->out = r->err = r->slave = -1;
  r->kill_at = NEVER;
  r->tty = request.flags & KORTEX_SESSION_TTY;
  struct program_ends ends;
  struct program_error error = {126, "cannot run the program: out of memory"};
  char **env = environment(h->env, request.env);
  const bool started = env && program_start(request.argv, env, *request.directory ? request.directory : h->directory, r->tty,
                                            request.rows, request.cols, &ends, &error);
  free(env);
  program_request_free(&request);
  c->role = ROLE_RUNNER;
  connection_send(c, KORTEX_SESSION_OK, NULL, 0);
  if (!started) {
    char text[600];
    const int length = snprintf(text, sizeof text, "kortex-session: %s%s\n", error.text, r->tty ? "\r" : "");
    connection_send(c, r->tty ? KORTEX_SESSION_STDOUT : KORTEX_SESSION_STDERR, text, (size_t)length);
    connection_end(c, KORTEX_END_EXITED, error.code);
    return;
  }
  r->pid = ends.pid;
  r->in = ends.in;
  r->out = ends.out;
  r->err = ends.err;
  r->slave = ends.slave;
}

static void signal_group(const struct runner *r, int number) {
  if (r->pid > 1) kill(-r->pid, number);
}

bool runner_frame(struct holder *h, struct connection *c, const struct frame *f) {
  (void)h;
  struct runner *r = &c->runner;
  struct frame_fields fields = fields_of(f);
  switch (f->type) {
    case KORTEX_SESSION_STDIN:
      if (r->input_ended || f->length > KORTEX_SESSION_WINDOW - c->input_held) return false;
      if (r->in < 0) return true; /* it has closed its stdin; no credit: the client need not send more */
      c->input_held += f->length;
      return buffer_append(&r->input, f->payload, f->length);
    case KORTEX_SESSION_STDIN_EOF: r->input_ended = true; return true;
    case KORTEX_SESSION_RESIZE: {
      struct winsize size = {.ws_row = field_u16(&fields), .ws_col = field_u16(&fields)};
      if (r->tty && r->out >= 0 && size.ws_row && size.ws_col) ioctl(r->out, TIOCSWINSZ, &size);
      return true;
    }
    case KORTEX_SESSION_SIGNAL: {
      const uint32_t number = field_u32(&fields);
      if (number > 0 && number < NSIG) {
        const pid_t group = r->tty && r->out >= 0 ? tcgetpgrp(r->out) : 0;
        if (group > 1)
          kill(-group, (int)number);
        else
          signal_group(r, (int)number);
      }
      return true;
    }
    case KORTEX_SESSION_OUTPUT_CLOSED:
      if (!r->tty) close_fd(field_u32(&fields) == KORTEX_STREAM_STDERR ? &r->err : &r->out);
      return true;
    default: return true;
  }
}

/* End of input on a terminal is a character; within a line the first one only passes the line on. */
static void end_terminal_input(struct runner *r) {
  struct termios settings;
  unsigned char eof[2] = {4, 4};
  if (tcgetattr(r->out, &settings) == 0 && settings.c_cc[VEOF]) eof[0] = eof[1] = settings.c_cc[VEOF];
  buffer_append(&r->input, eof, r->line_open ? 2 : 1);
  r->line_open = false;
}

static void feed_input(struct connection *c) {
  struct runner *r = &c->runner;
  while (r->in >= 0 && r->input.size) {
    const ssize_t n = write(r->in, buffer_front(&r->input), r->input.size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) break;
    if (n <= 0) {
      close_input(r); /* nobody reads it any more; the program runs on */
      return;
    }
    r->line_open = buffer_front(&r->input)[n - 1] != '\n' && buffer_front(&r->input)[n - 1] != '\r';
    buffer_consume(&r->input, (size_t)n);
    r->input_sent += (size_t)n;
  }
  if (r->input_sent > c->input_held) r->input_sent = c->input_held; /* end-of-input characters are ours */
  if (r->input_sent >= KORTEX_SESSION_WINDOW / 8 || (r->input_sent && !r->input.size)) {
    unsigned char payload[4];
    put_u32(payload, (uint32_t)r->input_sent);
    if (c->fd >= 0) connection_send(c, KORTEX_SESSION_CREDIT, payload, sizeof payload);
    c->input_held -= r->input_sent;
    r->input_sent = 0;
  }
  if (r->input_ended && r->in >= 0 && !r->input.size) {
    if (!r->tty) {
      close_input(r);
    } else {
      end_terminal_input(r);
      r->input_ended = false;
      feed_input(c);
    }
  }
}

/* Reads straight into the client's queue. */
static void take_output(struct connection *c, int *fd, uint8_t type) {
  struct runner *r = &c->runner;
  while (*fd >= 0 && c->queue.size < QUEUE_LIMIT) {
    unsigned char *room = buffer_reserve(&c->queue, KORTEX_SESSION_HEADER + KORTEX_SESSION_PAYLOAD_MAX);
    if (!room) return;
    const ssize_t n = read(*fd, room + KORTEX_SESSION_HEADER, KORTEX_SESSION_PAYLOAD_MAX);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EAGAIN) {
      const int64_t now = now_ms();
      if (r->exited && now >= r->exited_at + QUIET_MS && now >= r->last_output_at + QUIET_MS) break;
      return;
    }
    if (n <= 0) break;
    put_header(room, type, (size_t)n);
    buffer_commit(&c->queue, KORTEX_SESSION_HEADER + (size_t)n);
    if (!r->exited) continue;
    r->last_output_at = now_ms();
    r->trailing += (size_t)n;
    if (r->trailing > TRAILING_MAX && r->last_output_at > r->exited_at + TRAILING_MS) break;
  }
  if (*fd < 0 || c->queue.size >= QUEUE_LIMIT) return;
  if (fd == &r->out && r->tty) r->in = -1;
  close_fd(fd);
}

void runner_wait(struct holder *h, struct connection *c) {
  struct runner *r = &c->runner;
  if (r->kill_at != NEVER && r->pid) poll_until(&h->polls, r->kill_at);
  const bool wanted = c->fd >= 0 && c->queue.size < QUEUE_LIMIT;
  /* also for the end alone: it may have come when there was nothing left to write */
  const bool writes = r->in >= 0 && (r->input.size || r->input_ended);
  r->poll_out = r->poll_err = r->poll_in = -1;
  if (r->tty) {
    const short events = (short)((wanted ? POLLIN : 0) | (writes ? POLLOUT : 0));
    r->poll_out = r->poll_in = poll_add(&h->polls, events ? r->out : -1, events);
  } else {
    r->poll_out = poll_add(&h->polls, wanted ? r->out : -1, POLLIN);
    r->poll_err = poll_add(&h->polls, wanted ? r->err : -1, POLLIN);
    /* also without input: a program that closes its stdin is noticed by POLLERR */
    r->poll_in = poll_add(&h->polls, r->in, (short)(writes ? POLLOUT : 0));
  }
  if (r->exited && wanted && (r->out >= 0 || r->err >= 0))
    poll_until(&h->polls, (r->last_output_at > r->exited_at ? r->last_output_at : r->exited_at) + QUIET_MS);
}

void runner_serve(struct holder *h, struct connection *c) {
  struct runner *r = &c->runner;
  if (c->fd < 0) {
    if (r->pid && r->kill_at != NEVER && now_ms() >= r->kill_at) {
      signal_group(r, SIGKILL);
      r->kill_at = NEVER;
    }
    return;
  }
  if (c->finishing) return;
  if (!r->tty && r->in >= 0 && poll_got(&h->polls, r->poll_in) & POLLERR) close_input(r);
  feed_input(c);
  take_output(c, &r->out, KORTEX_SESSION_STDOUT);
  take_output(c, &r->err, KORTEX_SESSION_STDERR);
}

void runner_finish(struct holder *h, struct connection *c) {
  struct runner *r = &c->runner;
  if (c->finishing || !r->exited || r->out >= 0 || r->err >= 0) return;
  runner_free(c);
  connection_end(c, h->phase == PHASE_RUNNING ? KORTEX_END_EXITED : KORTEX_END_STOPPED, r->code);
}

void runner_hang_up(struct connection *c) {
  struct runner *r = &c->runner;
  signal_group(r, SIGHUP);
  signal_group(r, SIGCONT);
  if (r->pid) r->kill_at = now_ms() + HANGUP_GRACE_MS;
  runner_free(c);
}

bool runner_exited(struct connection *c, pid_t pid, int code) {
  struct runner *r = &c->runner;
  if (c->role != ROLE_RUNNER || !r->pid || r->pid != pid) return false;
  /* its client has gone: what remains of its group goes with it, while the number is surely still its own */
  if (c->fd < 0) signal_group(r, SIGKILL);
  r->pid = 0;
  r->exited = true;
  r->exited_at = now_ms();
  r->code = code;
  close_fd(&r->slave);
  if (!r->tty) close_input(r);
  return true;
}

void runner_free(struct connection *c) {
  struct runner *r = &c->runner;
  close_input(r);
  close_fd(&r->out);
  close_fd(&r->err);
  close_fd(&r->slave);
}
