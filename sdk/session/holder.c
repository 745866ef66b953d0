#include "holder.h"

#include <errno.h>
#include <fcntl.h>
#include <kortex/runtime.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"
#include "program.h"
#include "tree.h"

static int64_t read_clock(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t now_ms(void) { return read_clock(CLOCK_MONOTONIC); }
int64_t now_unix_ms(void) { return read_clock(CLOCK_REALTIME); }

int poll_add(struct poll_set *p, int fd, short events) {
  if (fd < 0) return -1;
  p->fds[p->count] = (struct pollfd){fd, events, 0};
  return (int)p->count++;
}

short poll_got(const struct poll_set *p, int index) { return index < 0 ? 0 : p->fds[index].revents; }

void poll_until(struct poll_set *p, int64_t deadline) {
  if (deadline != NEVER && (p->deadline == NEVER || deadline < p->deadline)) p->deadline = deadline;
}

static void write_status(const struct holder *h, const char *line) {
  if (h->status_fd < 0) return;
  lseek(h->status_fd, 0, SEEK_END);
  const ssize_t written = write(h->status_fd, line, strlen(line));
  (void)written; /* a full disk must not end the session */
  /* Not synced: what a power cut could take from the file, it has taken from the instance as well. */
}

static char **copy_strings(char *const *from) {
  size_t count = 0;
  while (from[count]) ++count;
  char **copy = calloc(count + 1, sizeof *copy);
  for (size_t i = 0; copy && i < count; ++i)
    if (!(copy[i] = strdup(from[i]))) return NULL; /* no memory to serve with either way */
  return copy;
}

void holder_start_agent(struct holder *h, struct connection *c, const struct program_request *request) {
  if (h->phase != PHASE_SERVING) {
    connection_fail(c, KORTEX_E_STATE, "the agent has already been started");
    return;
  }
  h->rows = request->rows ? request->rows : 24;
  h->cols = request->cols ? request->cols : 80;
  struct program_ends ends;
  struct program_error error;
  if (!program_start(request->argv, request->env, request->directory, true, h->rows, h->cols, &ends, &error)) {
    connection_fail(c, KORTEX_E_FAILED, error.text);
    return;
  }
  h->env = copy_strings(request->env);
  h->directory = strdup(request->directory);
  h->agent = h->agent_pid = ends.pid;
  h->master = ends.out;
  h->slave = ends.slave;
  h->started_ms = now_unix_ms();
  h->phase = PHASE_RUNNING;
  char line[80];
  snprintf(line, sizeof line, "started %d %lld\n", (int)h->agent, (long long)h->started_ms);
  write_status(h, line);
  connection_send(c, KORTEX_SESSION_OK, NULL, 0);
}

void holder_resize(struct holder *h, uint16_t rows, uint16_t cols) {
  if (h->master < 0 || !rows || !cols || (rows == h->rows && cols == h->cols && h->redraw_at == NEVER)) return;
  h->rows = rows;
  h->cols = cols;
  h->redraw_at = NEVER;
  const struct winsize size = {.ws_row = rows, .ws_col = cols};
  ioctl(h->master, TIOCSWINSZ, &size);
}

static void begin_ending(struct holder *h, int64_t grace_ms) {
  h->phase = PHASE_ENDING;
  h->end_at = now_ms() + grace_ms;
  tree_terminate();
}

static void begin_killing(struct holder *h) {
  h->phase = PHASE_KILLING;
  h->give_up_at = now_ms() + KILL_PATIENCE_MS;
  tree_kill();
}

static void begin_linger(struct holder *h) {
  h->phase = PHASE_LINGER;
  h->end_at = now_ms() + LINGER_MS;
}

void holder_stop(struct holder *h, int64_t grace_ms) {
  switch (h->phase) {
    case PHASE_SERVING: begin_linger(h); break;
    case PHASE_RUNNING:
      h->stopped = true;
      begin_ending(h, grace_ms);
      break;
    case PHASE_ENDING:
      if (now_ms() + grace_ms < h->end_at) h->end_at = now_ms() + grace_ms;
      break;
    default: break;
  }
}

/* Output of the agent: into the ring and the log at once; viewers take it from the ring. */
static void read_agent(struct holder *h, unsigned reads) {
  static unsigned char data[64 << 10];
  while (h->master >= 0 && reads-- > 0) {
    const ssize_t n = read(h->master, data, sizeof data);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    output_append(&h->output, data, (size_t)n);
    output_log_append(&h->log, data, (size_t)n);
  }
}

static void give_back_credit(struct holder *h) {
  unsigned char payload[4];
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) {
    struct connection *c = &h->connections[i];
    if (c->fd < 0 || c->role != ROLE_VIEWER || !c->input_held || c->finishing) continue;
    put_u32(payload, (uint32_t)c->input_held);
    c->input_held = 0;
    connection_send(c, KORTEX_SESSION_CREDIT, payload, sizeof payload);
  }
}

static void write_agent(struct holder *h) {
  if (h->master < 0 || !h->input.size) return;
  const ssize_t n = write(h->master, buffer_front(&h->input), h->input.size);
  if (n > 0) buffer_consume(&h->input, (size_t)n);
  /* the queue is shared, so each window opens again when all of it has been taken */
  if (!h->input.size) give_back_credit(h);
}

static void agent_ended(struct holder *h, int code) {
  read_agent(h, 256); /* all there is; not for ever, when a background process goes on writing */
  h->agent = 0;
  h->agent_ended = true;
  h->agent_code = code;
  close(h->master);
  if (h->slave >= 0) close(h->slave);
  h->master = h->slave = -1;
  buffer_free(&h->input);
  if (h->phase == PHASE_RUNNING) begin_ending(h, LEFTOVER_GRACE_MS);
}

/* False: there are no children. */
static bool reap(struct holder *h) {
  for (;;) {
    siginfo_t info = {0};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
      if (errno == EINTR) continue;
      return false;
    }
    if (info.si_pid == 0) return true;
    const int code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
    for (unsigned i = 0; i < CONNECTIONS_MAX; ++i)
      if (runner_exited(&h->connections[i], info.si_pid, code)) break;
    const bool agent = info.si_pid == h->agent;
    waitpid(info.si_pid, NULL, 0);
    if (agent) agent_ended(h, code);
  }
}

static void take_signals(struct holder *h) {
  struct signalfd_siginfo info;
  while (read(h->signal_fd, &info, sizeof info) == sizeof info) {
    if (info.ssi_signo == SIGTERM || info.ssi_signo == SIGINT || info.ssi_signo == SIGQUIT)
      holder_stop(h, SIGTERM_GRACE_MS);
  }
}

static void accept_client(struct holder *h) {
  const int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) return;
  if (peer_is_trusted(fd, h->directory_owner)) {
    for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) {
      struct connection *c = &h->connections[i];
      if (c->fd >= 0 || (c->role == ROLE_RUNNER && c->runner.pid)) continue;
      connection_open(c, fd);
      return;
    }
  }
  close(fd);
}

static bool somebody_waits(const struct holder *h) {
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) {
    const struct connection *c = &h->connections[i];
    /* one that has been told of its end closes when it has it: a relay in our pid namespace would be killed with us before */
    if (c->fd >= 0 && (c->queue.size || c->finishing || c->role == ROLE_RUNNER)) return true;
  }
  return false;
}

static bool has_clients(const struct holder *h) {
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i)
    if (h->connections[i].fd >= 0) return true;
  return false;
}

static void wait_for_something(struct holder *h, int poll_index[3]) {
  /* what the last round brought about (an end, above all) is under way before the wait */
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) connection_flush(h, &h->connections[i]);
  struct poll_set *p = &h->polls;
  p->count = 0;
  p->deadline = NEVER;
  poll_index[0] = poll_add(p, h->signal_fd, POLLIN);
  poll_index[1] = poll_add(p, h->phase < PHASE_KILLING ? h->listen_fd : -1, POLLIN);
  poll_index[2] = poll_add(p, h->master, (short)(POLLIN | (h->input.size ? POLLOUT : 0)));
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) connection_wait(h, &h->connections[i]);
  poll_until(p, h->redraw_at);
  switch (h->phase) {
    case PHASE_SERVING:
      if (!has_clients(h)) poll_until(p, h->idle_until);
      break;
    case PHASE_ENDING: poll_until(p, h->end_at); break;
    case PHASE_LINGER: poll_until(p, somebody_waits(h) ? h->end_at : now_ms()); break;
    case PHASE_KILLING: poll_until(p, now_ms() + 20); break; /* a fork may have slipped through between two walks */
    default: break;
  }
  const int64_t left = p->deadline == NEVER ? -1 : p->deadline - now_ms();
  if (poll(p->fds, p->count, left < 0 && p->deadline != NEVER ? 0 : (int)(left > 3600000 ? 3600000 : left)) < 0)
    for (unsigned i = 0; i < p->count; ++i) p->fds[i].revents = 0;
}

/* False: the holder's life is over. */
static bool advance(struct holder *h, bool children) {
  const int64_t now = now_ms();
  if (h->redraw_at != NEVER && now >= h->redraw_at) {
    const struct winsize size = {.ws_row = h->rows, .ws_col = h->cols};
    if (h->master >= 0) ioctl(h->master, TIOCSWINSZ, &size);
    h->redraw_at = NEVER;
  }
  switch (h->phase) {
    case PHASE_SERVING: return has_clients(h) || now < h->idle_until;
    case PHASE_RUNNING: return true;
    case PHASE_ENDING:
      if (!children)
        begin_linger(h);
      else if (now >= h->end_at)
        begin_killing(h);
      return true;
    case PHASE_KILLING:
      if (!children || now >= h->give_up_at)
        begin_linger(h);
      else
        tree_kill();
      return true;
    case PHASE_LINGER: return now < h->end_at && somebody_waits(h);
  }
  return true;
}

static void close_down(struct holder *h) {
  if (h->agent_pid) {
    char line[64];
    snprintf(line, sizeof line, "ended %d %lld\n", h->agent_code, (long long)now_unix_ms());
    write_status(h, line);
  }
  if (h->socket_directory_fd >= 0) unlinkat(h->socket_directory_fd, h->socket_name, 0);
  /* before the clients are told by the end of their connections: who then asks for the lock gets it */
  if (h->lock_fd >= 0) close(h->lock_fd);
}

int holder_serve(struct holder *h, int ready_fd) {
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  signal(SIGPIPE, SIG_IGN);
  h->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
  if (h->signal_fd < 0 || !output_init(&h->output)) return KORTEX_SESSION_EXIT_SETUP;
  if (getpid() != 1) prctl(PR_SET_CHILD_SUBREAPER, 1);
  /* the agent has our uid: without this it could trace us, and answer for us */
  prctl(PR_SET_DUMPABLE, 0);
  h->master = h->slave = -1;
  h->redraw_at = NEVER;
  for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) h->connections[i].fd = -1;
  h->idle_until = now_ms() + START_PATIENCE_MS;

  char line[64];
  snprintf(line, sizeof line, "serving %lld\n", (long long)now_unix_ms());
  write_status(h, line);
  if (ready_fd >= 0) {
    const ssize_t written = write(ready_fd, "", 1);
    (void)written;
    close(ready_fd);
  }

  bool children;
  do {
    int index[3];
    wait_for_something(h, index);
    if (poll_got(&h->polls, index[2]) & POLLIN) read_agent(h, 1);
    write_agent(h);
    for (unsigned i = 0; i < CONNECTIONS_MAX; ++i) connection_serve(h, &h->connections[i]);
    /* new ones last: their slots' poll results belong to earlier occupants */
    if (poll_got(&h->polls, index[1]) & POLLIN) accept_client(h);
    take_signals(h);
    children = reap(h);
  } while (advance(h, children));
  if (h->agent_pid && !h->agent_ended) h->agent_code = 128 + SIGKILL; /* sent, and not obeyed in time */
  close_down(h);
  return h->agent_code;
}
