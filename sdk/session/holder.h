/* The holder's state, and who does what with it:
 *   holder.c      life: serving, started, ending, gone; signals, reaping, the poll loop
 *   connection.c  one client: its frames in, its queue out
 *   viewer.c      connections that show the agent's terminal
 *   runner.c      connections that run a program of their own
 * One thread; every descriptor non-blocking. Each part adds what it waits for to a poll_set before the wait
 * and is told the results after it. */
#ifndef KORTEX_SESSION_HOLDER_H
#define KORTEX_SESSION_HOLDER_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "buffer.h"
#include "frame.h"
#include "output.h"
#include "output_log.h"

enum {
  CONNECTIONS_MAX = 128,
  QUEUE_LIMIT = 256 << 10,     /* a client's queue beyond which its program's output is left unread */
  VIEWER_QUEUE = 128 << 10,    /* the same for the agent's output: the rest stays in the ring */
  HANGUP_GRACE_MS = 2000,      /* from SIGHUP to SIGKILL when a program's client has gone */
  LEFTOVER_GRACE_MS = 2000,    /* for what still runs when the agent has ended by itself */
  SIGTERM_GRACE_MS = 10000,
  KILL_PATIENCE_MS = 5000,     /* for processes that even SIGKILL does not end (or may not) */
  LINGER_MS = 2000,            /* for clients to take the last bytes */
  START_PATIENCE_MS = 30000,   /* for the starter to connect, and to start the agent */
  QUIET_MS = 100,              /* output of a program that has exited, kept open by others, is over after this */
  TRAILING_MAX = 1 << 20,      /* and in any case after this many bytes and */
  TRAILING_MS = 1000,
  REDRAW_MS = 50,
  NEVER = -1
};

struct poll_set {
  struct pollfd fds[8 + CONNECTIONS_MAX * 4];
  unsigned count;
  int64_t deadline; /* the earliest; NEVER */
};
/* -1 for nothing to wait for; else an index for poll_got(). */
int poll_add(struct poll_set *, int fd, short events);
short poll_got(const struct poll_set *, int index);
void poll_until(struct poll_set *, int64_t deadline);

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_RUNNER, ROLE_WAITER, ROLE_STOPPER };

struct runner {
  pid_t pid;        /* 0: none, or reaped */
  int in, out, err; /* -1: closed; with a terminal in == out */
  int slave;        /* of a terminal, until the program has exited */
  bool tty;
  bool exited;
  int code;
  struct buffer input;
  size_t input_sent; /* taken by the program since the last CREDIT */
  bool input_ended, line_open;
  int64_t exited_at, last_output_at, kill_at;
  size_t trailing;
  int poll_in, poll_out, poll_err;
};

struct connection {
  int fd; /* -1: this slot is free (a runner may still be ending) */
  struct frame_reader reader;
  struct buffer queue;
  bool greeted, finishing, write_shut;
  enum role role;
  size_t input_held; /* bytes of STDIN received and not yet given back */
  int poll_fd;
  /* viewer */
  bool read_only, end_queued, lagged;
  uint16_t rows, cols;
  uint64_t position;
  /* runner */
  struct runner runner;
};

enum phase {
  PHASE_SERVING, /* no agent yet */
  PHASE_RUNNING,
  PHASE_ENDING,  /* the agent has ended or is being stopped: SIGTERM sent, SIGKILL at end_at */
  PHASE_KILLING, /* SIGKILL until there are no children */
  PHASE_LINGER   /* clients take their last bytes */
};

struct holder {
  int listen_fd, lock_fd, status_fd, signal_fd;
  int directory_fd;      /* of --dir; -1 */
  int socket_directory_fd; /* where the socket is, when we made it; -1 */
  const char *socket_name; /* in it */
  uid_t directory_owner; /* may connect too; (uid_t)-1: nobody */
  enum phase phase;
  bool stopped;          /* by STOP or SIGTERM, not by itself */
  int64_t idle_until, end_at, give_up_at, redraw_at;
  pid_t agent;           /* 0: not started, or ended */
  bool agent_ended;
  int agent_code;
  int64_t started_ms;
  pid_t agent_pid;
  int master, slave;
  uint16_t rows, cols;
  struct buffer input;   /* for the agent, of all viewers */
  char **env;            /* the agent's */
  char *directory;
  struct output output;
  struct output_log log;
  struct connection connections[CONNECTIONS_MAX];
  struct poll_set polls;
};

int64_t now_ms(void);      /* CLOCK_MONOTONIC */
int64_t now_unix_ms(void);

/* holder.c */
int holder_serve(struct holder *, int ready_fd);
void holder_start_agent(struct holder *, struct connection *, const struct program_request *);
void holder_stop(struct holder *, int64_t grace_ms);
void holder_resize(struct holder *, uint16_t rows, uint16_t cols);

/* connection.c */
void connection_open(struct connection *, int fd);
void connection_wait(struct holder *, struct connection *);
void connection_serve(struct holder *, struct connection *);
void connection_close(struct holder *, struct connection *);
void connection_flush(struct holder *, struct connection *);
bool connection_send(struct connection *, uint8_t type, const void *payload, size_t size);
void connection_fail(struct connection *, int32_t code, const char *text);
/* The session is over: what is queued is still sent. */
void connection_end(struct connection *, uint32_t how, int code);

/* viewer.c */
void viewer_attach(struct holder *, struct connection *, const struct frame *);
void viewer_fill(struct holder *, struct connection *);
bool viewer_frame(struct holder *, struct connection *, const struct frame *);
void viewer_redraw(struct holder *);
unsigned viewer_count(const struct holder *);

/* runner.c */
void runner_start(struct holder *, struct connection *, const struct frame *);
bool runner_frame(struct holder *, struct connection *, const struct frame *);
void runner_wait(struct holder *, struct connection *);
void runner_serve(struct holder *, struct connection *);
/* Queues the END when the program has exited and all its output is queued. */
void runner_finish(struct holder *, struct connection *);
void runner_hang_up(struct connection *);
/* `pid` is a zombie that has not been reaped yet. True: it was this one's. */
bool runner_exited(struct connection *, pid_t pid, int code);
void runner_free(struct connection *);

#endif
