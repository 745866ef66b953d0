/* The things that a runtime says it prevents, or allows, tried from inside. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "inside.h"

static char *report_at;
static size_t report_left;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  const int n = vsnprintf(report_at, report_left, format, arguments);
  va_end(arguments);
  if (n > 0 && (size_t)n < report_left) {
    report_at += n;
    report_left -= (size_t)n;
  }
}

static const char *reason(int error) { return error == 0 ? "ok" : strerror(error); }

/* connect ADDRESS PORT: 0, or why not; three seconds at most. */
static int try_connect(const char *address, int port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
  if (inet_pton(AF_INET, address, &to.sin_addr) != 1) return EINVAL;
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return errno;
  int error = connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    struct pollfd poll_fd = {fd, POLLOUT, 0};
    socklen_t size = sizeof error;
    if (poll(&poll_fd, 1, 3000) <= 0)
      error = ETIMEDOUT;
    else
      getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
  }
  /* Something in between may accept for a host that does not: only a greeting counts. */
  char byte;
  struct pollfd poll_fd = {fd, POLLIN, 0};
  if (error == 0 && (poll(&poll_fd, 1, 3000) <= 0 || read(fd, &byte, 1) != 1)) error = ECONNRESET;
  close(fd);
  return error;
}

static void connect_all(char **words) {
  for (; words[0] != NULL && words[1] != NULL; words += 2)
    say("connect %s %s\n", words[0], reason(try_connect(words[0], atoi(words[1]))));
}

/* The address that packets go through: what is on the other side of it is often the host. */
static void gateway(char **words) {
  FILE *routes = fopen("/proc/net/route", "re");
  char line[512], name[64];
  unsigned long to = 1, via = 0;
  while (routes != NULL && fgets(line, sizeof line, routes) != NULL)
    if (sscanf(line, "%63s %lx %lx", name, &to, &via) == 3 && to == 0 && via != 0) {
      const struct in_addr address = {(in_addr_t)via};
      char text[INET_ADDRSTRLEN];
      inet_ntop(AF_INET, &address, text, sizeof text);
      say("gateway %s\nconnect gateway %s\n", text, reason(try_connect(text, atoi(words[0]))));
      break;
    }
  if (routes != NULL) fclose(routes);
}

/* Interfaces that are up, but for the loopback. */
static void interfaces(void) {
  struct if_nameindex *names = if_nameindex();
  int up = 0;
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  for (struct if_nameindex *name = names; fd >= 0 && name != NULL && name->if_index != 0; ++name) {
    struct ifreq request;
    memset(&request, 0, sizeof request);
    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name->if_name);
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0 &&
        (request.ifr_flags & IFF_LOOPBACK) == 0)
      ++up;
  }
  if (fd >= 0) close(fd);
  if (names != NULL) if_freenameindex(names);
  say("interfaces %d\n", up);
}

static int write_into(const char *directory, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", directory, name);
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return errno;
  const int error = write(fd, "inside", 6) == 6 ? 0 : errno;
  close(fd);
  return error;
}

static int change(const char *file) {
  const int fd = open(file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  const int error = write(fd, "changed", 7) == 7 ? 0 : errno;
  close(fd);
  return error;
}

static void files(char **words) {
  for (; *words != NULL; ++words) {
    const int fd = open(*words, O_RDONLY | O_CLOEXEC);
    char text[256] = "";
    ssize_t n = 0;
    struct stat status;
    if (fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) n = read(fd, text, sizeof text - 1);
    if (n > 0) text[n] = '\0';
    say("file %s\n", fd >= 0 ? text : "absent");
    if (fd >= 0) close(fd);
  }
}

/* readonly DIRECTORY: writes, and again after each way to make it writable. The host looks at its files afterwards. */
static void readonly(char **words) {
  const char *directory = words[0];
  char file[4096];
  snprintf(file, sizeof file, "%s/file", directory);
  files((char *[]){file, NULL});
  say("create %s\n", reason(write_into(directory, "created")));
  say("change %s\n", reason(change(file)));
  for (int within = 0; within < 2; ++within) {
    if (within == 1 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) break;
    const int remounted = mount(NULL, directory, NULL, MS_REMOUNT | MS_BIND, NULL);
    say("remount %s\n", reason(remounted == 0 ? 0 : errno));
    say("create-remounted %s\n", reason(write_into(directory, "remounted")));
    say("change-remounted %s\n", reason(change(file)));
    struct {
      unsigned long long attr_set, attr_clr, propagation, userns_fd;
    } attributes = {0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0};
    const long set = syscall(442 /* mount_setattr */, AT_FDCWD, directory, 0, &attributes, sizeof attributes);
    say("mount-setattr %s\n", reason(set == 0 ? 0 : errno));
    say("change-set %s\n", reason(change(file)));
  }
}

/* mounts RW_DIRECTORY RO_FILE */
static void mounts(char **words) {
  say("write %s\n", reason(write_into(words[0], "from-inside")));
  files(words);
  files(words + 1);
}

static void spaces(void) {
  static const char *const names[] = {"pid", "mnt", "net", "user"};
  for (size_t i = 0; i < sizeof names / sizeof *names; ++i) {
    char path[64], text[128] = "";
    snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
    if (readlink(path, text, sizeof text - 1) < 0) text[0] = '\0';
    say("%s %s\n", names[i], text);
  }
  char boot[64] = "";
  const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    const ssize_t n = read(fd, boot, sizeof boot - 1);
    boot[n > 1 ? n - 1 : 0] = '\0';
    close(fd);
  }
  say("boot %s\n", boot);
  struct stat status;
  if (stat("/usr", &status) != 0) memset(&status, 0, sizeof status);
  say("usr %llu:%llu\n", (unsigned long long)status.st_dev, (unsigned long long)status.st_ino);
}

/* memory MIB: by a child, which is what is killed. */
static void memory(char **words) {
  const size_t size = (size_t)atoi(words[0]) << 20;
  const pid_t child = fork();
  if (child == 0) {
    char *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) _exit(1);
    for (size_t at = 0; at < size; at += 4096) ((volatile char *)bytes)[at] = (char)(at >> 12 | 1);
    _exit(0);
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) status = 256;
  say("memory %s\n", status == 0 ? "allocated" : "refused");
}

/* processes N: how many of N live at the same time. */
static void processes(char **words) {
  const int wanted = atoi(words[0]);
  int alive = 0, gate[2];
  if (pipe2(gate, O_CLOEXEC) != 0) return;
  for (int i = 0; i < wanted; ++i) {
    const pid_t child = fork();
    if (child == 0) {
      char byte;
      close(gate[1]);
      _exit(read(gate[0], &byte, 1) == 0 ? 0 : 1);
    }
    if (child < 0) break;
    ++alive;
  }
  close(gate[1]);
  while (wait(NULL) > 0) continue;
  say("processes %d\n", alive);
}

/* cpus: percent of one processor that many busy processes get together. So many that unbounded they get more than a quarter of
   one however busy the machine is: their share is that of their number. */
static void cpus(void) {
  struct timespec begin, now;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < 48; ++i)
    if (fork() == 0)
      for (;;) {
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec - begin.tv_sec + (now.tv_nsec >= begin.tv_nsec ? 0 : -1) >= 2) _exit(0);
      }
  while (wait(NULL) > 0) continue;
  clock_gettime(CLOCK_MONOTONIC, &now);
  struct rusage used;
  getrusage(RUSAGE_CHILDREN, &used);
  const double busy = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
  const double wall = (double)(now.tv_sec - begin.tv_sec) + (double)(now.tv_nsec - begin.tv_nsec) / 1e9;
  say("cpus %d\n", (int)(100 * busy / wall));
}

/* listen PORT: greets whoever connects, from a child that goes with the instance. */
static void greet_on(char **words) {
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(words[0]))};
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
  if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  const int error = fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 8) == 0 ? 0 : errno;
  say("listen %s\n", reason(error));
  if (error == 0 && fork() == 0)
    for (;;) {
      const int peer = accept(fd, NULL, NULL);
      if (peer < 0) _exit(0);
      if (write(peer, "hello\n", 6) != 6) _exit(0);
      close(peer);
    }
  if (fd >= 0) close(fd);
}

void attempt(char **words, char *report, size_t size) {
  report_at = report;
  report_left = size;
  *report = '\0';
  char **const arguments = words + 1;
  if (strcmp(words[0], "connect") == 0) connect_all(arguments);
  if (strcmp(words[0], "gateway") == 0) gateway(arguments), connect_all(arguments + 1);
  if (strcmp(words[0], "interfaces") == 0) interfaces(), connect_all(arguments);
  if (strcmp(words[0], "readonly") == 0) readonly(arguments);
  if (strcmp(words[0], "mounts") == 0) mounts(arguments);
  if (strcmp(words[0], "files") == 0) files(arguments);
  if (strcmp(words[0], "spaces") == 0) spaces();
  if (strcmp(words[0], "memory") == 0) memory(arguments);
  if (strcmp(words[0], "processes") == 0) processes(arguments);
  if (strcmp(words[0], "cpus") == 0) cpus();
  if (strcmp(words[0], "listen") == 0) greet_on(arguments);
  say("end\n");
}
