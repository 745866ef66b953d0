#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "guest.h"

enum { KILL_PATIENCE_MS = 3000 }; /* for processes that are on their way out */

static _Noreturn void end_machine(void) {
  sync();
  /* QEMU was told to leave instead of rebooting: that needs no ACPI in the kernel. */
  reboot(RB_AUTOBOOT);
  for (;;) pause();
}

static void say(const char *text) {
  const int console = open("/dev/console", O_WRONLY | O_NOCTTY | O_CLOEXEC);
  const ssize_t written = write(console >= 0 ? console : 2, text, strlen(text));
  (void)written;
  if (console >= 0) close(console);
}

void die(const char *format, ...) {
  char text[600] = "kortex-guest: ";
  const size_t prefix = strlen(text);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text + prefix, sizeof text - prefix - 2, format, arguments);
  va_end(arguments);
  strcat(text, "\n");
  say(text);
  end_machine();
}

void die_errno(const char *what, const char *which) {
  const char *reason = strerrordesc_np(errno);
  die("cannot %s '%s': %s", what, which, reason ? reason : "unknown error");
}

int64_t now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void early_mounts(void) {
  static const struct {
    const char *type, *at;
  } mounts[] = {{"devtmpfs", "/dev"}, {"proc", "/proc"}, {"sysfs", "/sys"}};
  for (size_t i = 0; i < sizeof mounts / sizeof *mounts; ++i) {
    mkdir(mounts[i].at, 0755);
    if (mount(mounts[i].type, mounts[i].at, mounts[i].type, MS_NOSUID | (i ? MS_NODEV | MS_NOEXEC : 0), NULL) != 0)
      die_errno("mount", mounts[i].at);
  }
}

static int listen_for_bridge(void) {
  mkdir(SESSION_DIRECTORY, 0700);
  chmod(SESSION_DIRECTORY, 0700);
  struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SESSION_SOCKET};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0)
    die_errno("listen on", SESSION_SOCKET);
  return fd;
}

/* Host files, each shared by itself: the guest can write into them, and put nothing else in their place. */
static int open_record(const char *name, int flags) {
  char path[128];
  snprintf(path, sizeof path, SHARE "/session/%s", name);
  const int fd = open(path, O_RDWR | O_CLOEXEC | flags);
  if (fd < 0) die_errno("open", path);
  return fd;
}

struct records {
  int status, log[2];
};

static void *open_share(void *into) {
  struct records *records = into;
  const char *type = setting("share");
  modules_load(type);
  mkdir(SHARE, 0755);
  /* By 9p nothing is kept of files that may change on the host, but for what is needed to map them. */
  const char *how = strcmp(type, "9p") == 0 ? "trans=virtio,version=9p2000.L,msize=512000,cache=mmap" : NULL;
  if (mount("kortex", SHARE, type, MS_NOSUID | MS_NODEV, how) != 0) die_errno("mount", "the host's share");
  *records = (struct records){open_record("status", O_APPEND), {open_record("output.0", 0), open_record("output.1", 0)}};
  const char *program = setting_or("prefetch", NULL);
  if (program) root_prefetch(program);
  return NULL;
}

/* A fixed number for each of the holder's descriptors, whatever they were. */
static pid_t start_holder(int program, int listener, const struct records *records) {
  const pid_t pid = fork();
  if (pid < 0) die_errno("start", "the session holder");
  if (pid > 0) return pid;
  const int given[] = {listener, records->status, records->log[0], records->log[1], program};
  int high[5];
  for (int i = 0; i < 5; ++i) high[i] = fcntl(given[i], F_DUPFD_CLOEXEC, 64);
  for (int i = 0; i < 4; ++i) dup2(high[i], 3 + i);
  setsid();
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  const long uid = setting_number("uid"), gid = setting_number("gid");
  if (setgroups(0, NULL) != 0 || setgid((gid_t)gid) != 0 || setuid((uid_t)uid) != 0) die_errno("become user", setting("uid"));
  char *const arguments[] = {"kortex-session", "serve", "--listen-fd", "3", "--status-fd", "4", "--log-fds", "5,6", NULL};
  char *const environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
  syscall(SYS_execveat, high[4], "", arguments, environment, 0x1000 /* AT_EMPTY_PATH */);
  die_errno("run", "the session holder");
}

struct story {
  pid_t agent; /* 0: none was started */
  bool ended;
};

static struct story read_story(const struct life *life) {
  struct story told = {0, false};
  char text[4096] = "";
  const ssize_t size = pread(life->status_fd, text, sizeof text - 1, 0);
  if (size <= 0) return told;
  int agent;
  const char *started = strstr(text, "\nstarted ");
  if (started && sscanf(started, " started %d", &agent) == 1) told.agent = agent;
  told.ended = strstr(text, "\nended ") != NULL;
  return told;
}

/* While the holder lives everything else is its children. */
bool life_reap(struct life *life) {
  int status;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == life->holder) {
      life->holder = 0;
    } else if (pid == read_story(life).agent) {
      life->agent_ended = true;
      life->agent_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
  }
  return life->holder != 0;
}

/* Whoever killed the holder did not kill the agent's exit status. */
static void finish_story(struct life *life) {
  const struct story told = read_story(life);
  if (!told.agent || told.ended) return;
  const struct timespec patience = {0, 50 * 1000 * 1000};
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  for (const int64_t enough = now_ms() + KILL_PATIENCE_MS; life_reap(life), !life->agent_ended && now_ms() < enough;)
    if (kill(told.agent, 0) != 0) break; /* the holder has reaped it */
    else sigtimedwait(&child, NULL, &patience);
  if (!life->agent_ended) {
    say("kortex-guest: the session holder was killed, and with it the agent's exit status\n");
    return;
  }
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  char line[64];
  const int size = snprintf(line, sizeof line, "ended %d %lld\n", life->agent_code, (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000);
  const ssize_t written = write(life->status_fd, line, (size_t)size);
  (void)written; /* then it is as if the machine had been killed */
}

/* What still ends has files open. */
static void reap_all(void) {
  const struct timespec patience = {0, 50 * 1000 * 1000};
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int64_t enough = now_ms() + KILL_PATIENCE_MS;
  for (pid_t pid; (pid = waitpid(-1, NULL, WNOHANG)) >= 0 && now_ms() < enough;)
    if (pid == 0) sigtimedwait(&child, NULL, &patience);
}

int main(void) {
  if (getpid() != 1) {
    fputs("this is the first program of a virtual machine\n", stderr);
    return 64;
  }
  early_mounts();
  /* The standard streams of everything that is not told otherwise. */
  const int console = open("/dev/null", O_RDWR | O_NOCTTY);
  for (int i = 0; i < 3; ++i) dup2(console, i);
  if (console > 2) close(console);
  sigset_t all;
  sigfillset(&all);
  sigprocmask(SIG_SETMASK, &all, NULL);
  reboot(RB_DISABLE_CAD);

  settings_read("/settings");
  size_t agent_size;
  char *agent = read_whole("/agent", &agent_size);
  const int holder_program = open("/kortex-session", O_RDONLY | O_CLOEXEC);
  if (holder_program < 0) die_errno("open", "the session holder");
  modules_load("bus");
  /* What waits for the host, beside what computes. */
  struct records records;
  pthread_t sharing;
  if (pthread_create(&sharing, NULL, open_share, &records) != 0) die("cannot begin a thread");
  modules_load("base");
  disk_mount();
  pthread_join(sharing, NULL);
  if (setting_or("address", NULL)) modules_load("net");
  root_build();
  network_up();
  const int listener = listen_for_bridge();
  struct life life = {.holder = start_holder(holder_program, listener, &records), .status_fd = records.status};
  close(listener);
  close(holder_program);
  agent_start(agent, agent_size);
  free(agent);
  first_root_forget("agent");
  modules_load("session"); /* nobody can be connected before the agent runs */
  for (int i = 0; i < 2; ++i) close(records.log[i]);
  bridge_serve(&life, (unsigned)setting_number("ports"));
  kill(-1, SIGKILL);
  finish_story(&life);
  reap_all();
  root_seal();
  end_machine();
}
