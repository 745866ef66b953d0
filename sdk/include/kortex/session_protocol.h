/* kortex/session_protocol.h - what the session holder (kortex-session) and its clients say to each other.
 *
 * Plugins use <kortex/session.hpp> and never see this. It is written down, in C, because the two ends are
 * built apart: a holder started last month serves the client installed today.
 *
 * TRANSPORT  A reliable byte stream: the holder's unix socket, or a pair of pipes to `kortex-session relay`.
 *            One connection carries one session: any number of STATUS and START, then at most one of
 *            ATTACH, RUN, WAIT, STOP. Closing the connection ends the session: a viewer has left, a program
 *            started by RUN is ended (SIGHUP and SIGCONT to its process group, SIGKILL two seconds later).
 * FRAME      8 bytes {u8 type, u8 flags, u16 0, u32 length}, then `length` bytes, at most 64 KiB. Numbers are
 *            little-endian. KORTEX_SESSION_MORE: the payload goes on in the next frame, of the same type
 *            (START and RUN only, 2 MiB in all).
 * VERSIONS   Both ends send HELLO first, the holder after it has seen the client's. Majors must be equal.
 *            Within a major, types, flags and payload fields are only ever appended: unknown types are
 *            skipped, longer payloads accepted, missing trailing fields read as 0.
 * FLOW       A client sends at most KORTEX_SESSION_WINDOW bytes of STDIN that the holder has not given back by
 *            CREDIT: so RESIZE and SIGNAL never wait behind input that a program does not take. A holder stops
 *            reading a program's output while the client does not read; the agent's output never waits for
 *            a viewer: one that lags by more than the holder keeps is given a fresh replay.
 */
#ifndef KORTEX_SESSION_PROTOCOL_H
#define KORTEX_SESSION_PROTOCOL_H

#include <stdint.h>

#define KORTEX_SESSION_MAGIC 0x4e53584bu /* "KXSN" */
#define KORTEX_SESSION_MAJOR 1
#define KORTEX_SESSION_MINOR 0

#define KORTEX_SESSION_HEADER 8u
#define KORTEX_SESSION_PAYLOAD_MAX 65536u
#define KORTEX_SESSION_MESSAGE_MAX (2u << 20)
#define KORTEX_SESSION_WINDOW (1u << 20)

enum { KORTEX_SESSION_MORE = 1 << 0 };

/* Payloads. `string`: bytes and a NUL. */
enum {
  /* both ways: u32 magic, u16 major, u16 minor */
  KORTEX_SESSION_HELLO = 1,

  /* client to holder */
  KORTEX_SESSION_START = 16,      /* u32 program flags, u16 rows, u16 cols, u32 argc, u32 envc,
                                   * argc + envc strings, string directory. Answer: OK or ERROR */
  KORTEX_SESSION_ATTACH = 17,     /* u32 attach flags, u16 rows, u16 cols. OK, STDOUT..., END; or ERROR.
                                   * With NO_REPLAY the OK says where in the logs live output begins:
                                   * u32 0 or 1 (output.0, output.1), u64 bytes in it */
  KORTEX_SESSION_RUN = 18,        /* as START; the strings of env are added to the agent's. OK, STDOUT and
                                   * STDERR..., END; a program that cannot be run: STDERR, END 127 or 126 */
  KORTEX_SESSION_STDIN = 19,      /* bytes */
  KORTEX_SESSION_STDIN_EOF = 20,
  KORTEX_SESSION_RESIZE = 21,     /* u16 rows, u16 cols */
  KORTEX_SESSION_SIGNAL = 22,     /* u32 signal: to the program's group; ATTACH: to the terminal's foreground one */
  KORTEX_SESSION_STATUS = 23,     /* empty. Answer: STATUS_IS */
  KORTEX_SESSION_STOP = 24,       /* u32 grace in ms. OK; then the connection ends when the holder does */
  KORTEX_SESSION_WAIT = 25,       /* empty. END when the agent has ended */
  KORTEX_SESSION_OUTPUT_CLOSED = 26, /* u32 1 or 2: nobody reads the program's stdout (stderr) any more */

  /* holder to client */
  KORTEX_SESSION_OK = 48,
  KORTEX_SESSION_ERROR = 49,      /* u32 kortex_status, text up to the end */
  KORTEX_SESSION_STDOUT = 50,     /* bytes */
  KORTEX_SESSION_STDERR = 51,     /* bytes */
  KORTEX_SESSION_END = 52,        /* u32 kortex_end, u32 code (0..255, or 128 + signal) */
  KORTEX_SESSION_STATUS_IS = 53,  /* u32 0 not started, 1 running, 2 ended; u32 code; u64 pid as the holder
                                   * sees it; u64 start in Unix ms; u32 viewers */
  KORTEX_SESSION_CREDIT = 54      /* u32 bytes of STDIN that have been taken */
};

enum { KORTEX_SESSION_TTY = 1 << 0 };                                               /* program flags */
enum { KORTEX_SESSION_READ_ONLY = 1 << 0, KORTEX_SESSION_NO_REPLAY = 1 << 1 };      /* attach flags */

/* FILES in the instance's directory (with --dir by these names; else whatever descriptors were inherited)
 *
 *   session.lock  The holder keeps a POSIX write lock on all of it for life: F_GETLK tells its pid in the asker's
 *                 pid namespace. With --dir it also keeps an flock; else the starter has taken that one and
 *                 the holder inherits it.
 *   status        One line per event, appended; Unix time in ms:
 *                     serving TIME
 *                     started PID TIME       PID as the holder sees it
 *                     ended CODE TIME        the agent's 0..255 or 128 + signal; the last thing a holder does
 *                 No `started`: no agent was ever started. `started` without `ended` and nobody holding
 *                 the lock: the holder was killed.
 *   output.0, .1  What the agent wrote to its terminal. One of the two is being written; when it has
 *                 KORTEX_SESSION_LOG_MAX bytes the other is emptied and written next. So a full one is the older.
 *   session.sock  The holder listens here (--dir); with `--socket FILE` at FILE instead, where the directory is one that
 *                 can have no sockets. The directory of FILE must be the holder's user's own place, or the machine the
 *                 instance's own: whoever has the holder's user is served.
 */
#define KORTEX_SESSION_LOG_MAX (4u << 20)

/* Exit status of `kortex-session serve`: the agent's; or, when no agent was started, 0 or: */
enum { KORTEX_SESSION_EXIT_USAGE = 64, KORTEX_SESSION_EXIT_SETUP = 71, KORTEX_SESSION_EXIT_TAKEN = 75 };

#endif
