/* What kortex-runtime-check runs in an instance: a static program, so that an image needs nothing. It is the agent, the
 * programs of exec and terminal, and the one who tries what a runtime says it prevents (attempts.c).
 *
 *   inside agent DIR [stubborn] [status=N] [echo] [-- WORD...]
 *       writes DIR/args (the words), DIR/env, DIR/cwd and then DIR/started, and obeys DIR/do: "exit N", "print TEXT".
 *       SIGTERM: writes DIR/terminated and ends with status N (default 0), unless it is stubborn.
 *   inside try DIR ATTEMPT [ARGUMENT...]
 *       writes DIR/report with what became of the attempt, then is an agent.
 *   inside exit N | kill N | cat | count | streams | args WORD... | env NAME | cwd | size | winch | wait FILE | trap FILE |
 *          alive PID | true
 */
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

extern char **environ;

static volatile sig_atomic_t got_signal;

static void note_signal(int number) { got_signal = number; }

static void on_signal(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  sigemptyset(&action.sa_mask);
  sigaction(number, &action, NULL);
}

void write_file(const char *directory, const char *name, const void *bytes, size_t size) {
  char final[4096], temporary[4096];
  snprintf(final, sizeof final, "%s/%s", directory, name);
  snprintf(temporary, sizeof temporary, "%s/.%s.new", directory, name);
  const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) {
    fprintf(stderr, "inside: cannot write %s: %s\n", temporary, strerror(errno));
    exit(90);
  }
  fchmod(fd, 0666); /* whoever we are in here, the checker replaces and removes it */
  const char *at = bytes;
  while (size > 0) {
    const ssize_t n = write(fd, at, size);
    if (n <= 0) exit(91);
    at += n;
    size -= (size_t)n;
  }
  close(fd);
  if (rename(temporary, final) != 0) exit(92);
}

static void write_words(const char *directory, const char *name, char **words) {
  size_t size = 0;
  for (char **word = words; *word != NULL; ++word) size += strlen(*word) + 1;
  char *bytes = malloc(size + 1), *at = bytes;
  for (char **word = words; *word != NULL; ++word) at = stpcpy(at, *word) + 1;
  write_file(directory, name, bytes, size);
  free(bytes);
}

static void echo_input(void) {
  static char line[4096];
  static size_t length;
  char bytes[512];
  const ssize_t n = read(0, bytes, sizeof bytes);
  for (ssize_t i = 0; i < n; ++i) {
    if (bytes[i] != '\n' && bytes[i] != '\r') {
      if (length + 1 < sizeof line) line[length++] = bytes[i];
      continue;
    }
    printf("got <%.*s>\n", (int)length, line);
    fflush(stdout);
    length = 0;
  }
}

/* The folder may be another machine's, from which no change is announced: it is looked at. */
static int obey(const char *directory, int echo, int stubborn, int status) {
  char order_path[4096];
  snprintf(order_path, sizeof order_path, "%s/do", directory);
  for (;;) {
    struct pollfd input = {echo ? 0 : -1, POLLIN, 0};
    if (poll(&input, 1, 20) > 0 && (input.revents & POLLIN) != 0)
      echo_input();
    else if ((input.revents & (POLLHUP | POLLERR)) != 0)
      echo = 0;
    if (got_signal == SIGTERM && !stubborn) {
      write_file(directory, "terminated", "", 0);
      return status;
    }
    const int fd = open(order_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    char order[1024];
    const ssize_t n = read(fd, order, sizeof order - 1);
    close(fd);
    order[n > 0 ? n : 0] = '\0';
    unlink(order_path);
    if (strncmp(order, "exit ", 5) == 0) return atoi(order + 5);
    if (strncmp(order, "print ", 6) == 0) {
      puts(order + 6);
      fflush(stdout);
    }
    write_file(directory, "done", order, strlen(order));
  }
}

static int be_agent(char **words) {
  const char *directory = *words++;
  int stubborn = 0, status = 0, echo = 0;
  for (; *words != NULL && strcmp(*words, "--") != 0; ++words) {
    if (strcmp(*words, "stubborn") == 0) stubborn = 1;
    if (strcmp(*words, "echo") == 0) echo = 1;
    if (strncmp(*words, "status=", 7) == 0) status = atoi(*words + 7);
  }
  on_signal(SIGTERM, note_signal);
  if (stubborn) {
    on_signal(SIGHUP, SIG_IGN);
    on_signal(SIGINT, SIG_IGN);
  }
  if (*words != NULL) ++words;
  write_words(directory, "args", words);
  write_words(directory, "env", environ);
  char cwd[4096] = "";
  if (getcwd(cwd, sizeof cwd) == NULL) cwd[0] = '\0';
  write_file(directory, "cwd", cwd, strlen(cwd));
  /* Each start of the agent is a line. */
  char started[4096], line[64];
  snprintf(started, sizeof started, "%s/started", directory);
  const int fd = open(started, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  const int size = snprintf(line, sizeof line, "%ld\n", (long)getpid());
  if (fd < 0 || write(fd, line, (size_t)size) != size) return 93;
  fchmod(fd, 0666);
  close(fd);
  puts("the agent is here");
  fflush(stdout);
  return obey(directory, echo, stubborn, status);
}

static int attempt_and_stay(char **words) {
  const char *directory = words[0];
  on_signal(SIGTERM, note_signal);
  char report[4096];
  attempt(words + 1, report, sizeof report);
  write_file(directory, "report", report, strlen(report));
  return obey(directory, 0, 0, 0);
}

static int cat(int only_count) {
  static char bytes[65536];
  long long total = 0;
  ssize_t n;
  while ((n = read(0, bytes, sizeof bytes)) > 0) {
    total += n;
    if (only_count) continue;
    for (ssize_t at = 0; at < n;) {
      const ssize_t written = write(1, bytes + at, (size_t)(n - at));
      if (written < 0) return 94;
      at += written;
    }
  }
  if (only_count) printf("%lld\n", total);
  return n < 0 ? 95 : 0;
}

static int print_size(void) {
  struct winsize size;
  if (ioctl(0, TIOCGWINSZ, &size) != 0) {
    puts("no terminal");
    return 96;
  }
  printf("%u %u\n", size.ws_row, size.ws_col);
  fflush(stdout);
  return 0;
}

static int await_resize(void) {
  sigset_t changes;
  sigemptyset(&changes);
  sigaddset(&changes, SIGWINCH);
  sigprocmask(SIG_BLOCK, &changes, NULL);
  if (print_size() != 0) return 96;
  int number;
  sigwait(&changes, &number);
  return print_size();
}

/* Tells where it is by a file, and stays until a signal ends it. */
static int stay(const char *file) {
  char text[32], name[4096], directory[4096];
  const char *slash = strrchr(file, '/');
  snprintf(directory, sizeof directory, "%.*s", (int)(slash - file), file);
  snprintf(name, sizeof name, "%s", slash + 1);
  const int size = snprintf(text, sizeof text, "%ld", (long)getpid());
  write_file(directory, name, text, (size_t)size);
  while (!got_signal) pause();
  return 42;
}

int main(int argc, char **argv) {
  const char *what = argc > 1 ? argv[1] : "";
  const char *first = argc > 2 ? argv[2] : "";
  if (strcmp(what, "agent") == 0 && argc > 2) return be_agent(argv + 2);
  if (strcmp(what, "try") == 0 && argc > 3) return attempt_and_stay(argv + 2);
  if (strcmp(what, "true") == 0) return 0;
  if (strcmp(what, "exit") == 0) return atoi(first);
  if (strcmp(what, "kill") == 0) {
    kill(getpid(), atoi(first));
    return 97;
  }
  if (strcmp(what, "cat") == 0) return cat(0);
  if (strcmp(what, "count") == 0) return cat(1);
  if (strcmp(what, "streams") == 0) {
    puts("to stdout");
    fputs("to stderr\n", stderr);
    return 0;
  }
  if (strcmp(what, "args") == 0) {
    for (int i = 2; i < argc; ++i) printf("<%s>\n", argv[i]);
    return 0;
  }
  if (strcmp(what, "env") == 0) {
    const char *value = getenv(first);
    printf("<%s>\n", value != NULL ? value : "not set");
    return 0;
  }
  if (strcmp(what, "cwd") == 0) {
    char cwd[4096];
    printf("<%s>\n", getcwd(cwd, sizeof cwd) != NULL ? cwd : "none");
    return 0;
  }
  if (strcmp(what, "size") == 0) return print_size();
  if (strcmp(what, "winch") == 0) return await_resize();
  if (strcmp(what, "wait") == 0 && strchr(first, '/') != NULL) return stay(first);
  if (strcmp(what, "trap") == 0 && strchr(first, '/') != NULL) {
    on_signal(SIGINT, note_signal);
    return stay(first);
  }
  if (strcmp(what, "alive") == 0) return kill((pid_t)atol(first), 0) == 0 || errno == EPERM ? 0 : 1;
  fprintf(stderr, "inside: not known: %s\n", what);
  return 98;
}
