/* Starting a program on a pseudo-terminal or on three pipes. */
#ifndef KORTEX_SESSION_PROGRAM_H
#define KORTEX_SESSION_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct program_ends {
  pid_t pid;           /* leader of a session and process group of its own */
  int in, out, err;    /* our ends, non-blocking; with a terminal in == out, err == -1 */
  int slave;           /* with a terminal: keeps it from hanging up between the program's closing it and its exit,
                        * when a SIGHUP would replace its exit status; to be closed then. Else -1 */
};

struct program_error {
  int code;            /* 127 not found, 126 not executable or anything else */
  char text[512];      /* cannot run 'x': no such file or directory */
};

/* `env` is the whole environment, in which argv[0] is also looked up. Returns when the program has been
 * executed or could not be. Nothing of ours but descriptors 0 to 2 reaches it. */
bool program_start(char *const argv[], char *const env[], const char *directory, bool tty, uint16_t rows, uint16_t cols,
                   struct program_ends *, struct program_error *);

/* Lower-case text of an errno value, as it ends an error message. */
const char *reason(int error);

#endif
