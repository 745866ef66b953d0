#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

/* Fewer wake-ups for bulk data; refused for users with many pipes, which is fine. */
enum { PIPE_SIZE = 256 << 10 };

const char *reason(int error) {
  static char text[128];
  const char *description = strerrordesc_np(error);
  snprintf(text, sizeof text, "%s", description ? description : "unknown error");
  if (text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z')) text[0] = (char)(text[0] + 'a' - 'A');
  return text;
}

enum stage { STAGE_SETUP, STAGE_DIRECTORY, STAGE_EXEC };
struct failure {
  int error;
  int stage;
};

struct ends {
  int child[3], ours[3];
};

static void close_ends(int fds[3]) {
  for (int i = 0; i < 3; ++i) {
    bool seen = false;
    for (int j = 0; j < i; ++j) seen |= fds[j] == fds[i];
    if (fds[i] >= 0 && !seen) close(fds[i]);
  }
  for (int i = 0; i < 3; ++i) fds[i] = -1;
}

static bool open_terminal(struct ends *e, uint16_t rows, uint16_t cols) {
  const int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
  if (master < 0) return false;
  e->ours[0] = e->ours[1] = master;
  if (grantpt(master) != 0 || unlockpt(master) != 0) return false;
  /* by ioctl, not by name: /dev/pts may be another instance than the one behind /dev/ptmx */
  const int slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (slave < 0) return false;
  e->child[0] = e->child[1] = e->child[2] = slave;
  struct termios settings;
  if (tcgetattr(slave, &settings) == 0) {
    settings.c_iflag |= IUTF8;
    tcsetattr(slave, TCSANOW, &settings);
  }
  const struct winsize size = {.ws_row = rows ? rows : 24, .ws_col = cols ? cols : 80};
  return ioctl(master, TIOCSWINSZ, &size) == 0;
}

static bool open_pipes(struct ends *e) {
  for (int i = 0; i < 3; ++i) {
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) != 0) return false;
    const int read_end = fds[0], write_end = fds[1];
    e->child[i] = i == 0 ? read_end : write_end;
    e->ours[i] = i == 0 ? write_end : read_end;
    fcntl(e->ours[i], F_SETFL, fcntl(e->ours[i], F_GETFL) | O_NONBLOCK);
    if (i < 2) fcntl(e->ours[i], F_SETPIPE_SZ, PIPE_SIZE);
  }
  return true;
}

/* Runs in the child and does not return. */
static void become(char *const argv[], char *const env[], const char *directory, bool tty, const int child[3], int report) {
  struct failure failure = {0, STAGE_SETUP};
  int fds[3] = {-1, -1, -1};
  /* out of the way of 0 to 2 first: a holder may have been started with those closed */
  for (int i = 0; i < 3; ++i)
    if ((fds[i] = fcntl(child[i], F_DUPFD_CLOEXEC, 4)) < 0) goto fail;
  if ((report = fcntl(report, F_DUPFD_CLOEXEC, 4)) < 0) goto fail;
  setsid();
  for (int i = 0; i < 3; ++i)
    if (dup2(fds[i], i) < 0) goto fail;
  if (dup2(report, 3) < 0 || fcntl(3, F_SETFD, FD_CLOEXEC) < 0) goto fail;
  report = 3;
  close_range(4, ~0u, 0);
  if (tty && ioctl(0, TIOCSCTTY, 0) != 0) goto fail;

  for (int s = 1; s < NSIG; ++s) signal(s, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);

  failure.stage = STAGE_DIRECTORY;
  if (directory && *directory && chdir(directory) != 0) goto fail;
  failure.stage = STAGE_EXEC;
  execvpe(argv[0], argv, env);
fail:
  failure.error = errno;
  while (write(report, &failure, sizeof failure) < 0 && errno == EINTR) continue;
  _exit(126);
}

bool program_start(char *const argv[], char *const env[], const char *directory, bool tty, uint16_t rows, uint16_t cols,
                   struct program_ends *program, struct program_error *error) {
  struct ends e = {{-1, -1, -1}, {-1, -1, -1}};
  struct failure failure = {0, STAGE_SETUP};
  int report[2] = {-1, -1};
  pid_t pid = -1;
  if ((tty ? open_terminal(&e, rows, cols) : open_pipes(&e)) && pipe2(report, O_CLOEXEC) == 0) {
    /* execvpe searches the caller's PATH, and the program's is meant */
    char **before = environ;
    environ = (char **)(uintptr_t)env;
    pid = fork();
    environ = before;
    if (pid == 0) {
      environ = (char **)(uintptr_t)env;
      become(argv, env, directory, tty, e.child, report[1]);
    }
  }
  if (pid < 0) failure.error = errno;
  const int slave = tty && pid > 0 ? fcntl(e.child[0], F_DUPFD_CLOEXEC, 3) : -1;
  close_ends(e.child);
  if (report[1] >= 0) close(report[1]);
  if (pid > 0) {
    ssize_t n;
    while ((n = read(report[0], &failure, sizeof failure)) < 0 && errno == EINTR) continue;
    if (n != sizeof failure) failure.error = 0;
    if (failure.error) waitpid(pid, NULL, 0);
  }
  if (report[0] >= 0) close(report[0]);
  if (!failure.error) {
    *program = (struct program_ends){pid, e.ours[0], e.ours[1], e.ours[2], slave};
    return true;
  }
  close_ends(e.ours);
  if (slave >= 0) close(slave);
  const bool missing = failure.stage == STAGE_EXEC && (failure.error == ENOENT || failure.error == ENOTDIR);
  error->code = missing ? 127 : 126;
  switch (failure.stage) {
    case STAGE_DIRECTORY:
      snprintf(error->text, sizeof error->text, "cannot run '%s' in '%s': %s", argv[0], directory, reason(failure.error));
      break;
    default: {
      const bool too_many = failure.stage == STAGE_SETUP && failure.error == EAGAIN;
      snprintf(error->text, sizeof error->text, "cannot run '%s': %s", argv[0], too_many ? "no more processes are allowed (ulimit -u)" : reason(failure.error));
    }
  }
  return false;
}
