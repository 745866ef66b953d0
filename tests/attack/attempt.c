/* What an agent would try, one attempt at a time, from inside a workspace. Static, so that it runs in any image and guest.
 *
 *     attempt ask                  questions from stdin, answers to stdout
 *     attempt answer FROM TO       the same with files, then waits for ever: for an agent
 *     attempt VERB ARGUMENT…       one attempt
 *     attempt victim MARK          outside: a process to be attacked
 *
 * A question is a line `ID<tab>VERB<tab>ARGUMENT…`, its answer `ID<tab>reached|stopped<tab>why`. An attempt that the kernel
 * or the sandbox refuses is `stopped` with the reason; what counts as `reached` is said beside each. Every attempt has a
 * process of its own and ten seconds. */
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <kortex/session_protocol.h>
#include <linux/keyctl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ARGUMENTS_MAX = 8, SECONDS = 10 };

static char why[512];

static bool reached(const char *what) {
  snprintf(why, sizeof why, "%s", what);
  return true;
}

static bool stopped(const char *reason) {
  snprintf(why, sizeof why, "%s", reason);
  return false;
}

static bool refused(void) { return stopped(strerror(errno)); }

static bool holds(const char *path, const char *mark) {
  static char data[256 << 10];
  const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  if (fd < 0) return false;
  size_t size = 0;
  ssize_t n;
  while (size < sizeof data && (n = read(fd, data + size, sizeof data - size)) > 0) size += (size_t)n;
  close(fd);
  return memmem(data, size, mark, strlen(mark)) != NULL;
}

/* reached: the file is there and holds the mark */
static bool try_read(char **a) {
  errno = 0;
  if (holds(a[0], a[1])) return reached("read");
  return errno ? refused() : stopped("another file is there");
}

/* reached: the directory lists the name */
static bool try_list(char **a) {
  DIR *directory = opendir(a[0]);
  if (!directory) return refused();
  bool found = false;
  for (struct dirent *entry; (entry = readdir(directory));) found |= !strcmp(entry->d_name, a[1]);
  closedir(directory);
  return found ? reached("listed") : stopped("not listed");
}

/* reached: written; whether that was the host's file, the host sees */
static bool try_write(char **a) {
  const int fd = open(a[0], O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0666);
  if (fd < 0) return refused();
  const bool written = write(fd, a[1], strlen(a[1])) > 0;
  const bool answer = written ? reached("written") : refused();
  close(fd);
  return answer;
}

/* reached: could be written; nothing is */
static bool try_open_for_writing(char **a) {
  const int fd = open(a[0], O_WRONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return refused();
  close(fd);
  return reached("open for writing");
}

static bool greeted(int fd, const struct sockaddr *address, socklen_t size, const char *mark) {
  if (fd < 0 || connect(fd, address, size) != 0) return refused();
  if (!*mark) return reached("connected");
  char text[256];
  size_t length = 0;
  ssize_t n;
  while (length < sizeof text - 1 && (n = recv(fd, text + length, sizeof text - 1 - length, 0)) > 0) {
    length += (size_t)n;
    if (memmem(text, length, mark, strlen(mark))) return reached("connected and greeted");
  }
  return stopped("somebody else answered");
}

static int stream(int family) { return socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0); }

/* reached: connected, and the mark was heard; without a mark: connected */
static bool try_unix(char **a) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const char *slash = strrchr(a[0], '/');
  char directory[4096];
  /* its path may be longer than an address */
  if (!slash || (size_t)(slash - a[0]) >= sizeof directory || strlen(slash + 1) >= sizeof address.sun_path) return stopped("no such path");
  memcpy(directory, a[0], (size_t)(slash - a[0]));
  directory[slash - a[0]] = 0;
  if (chdir(directory) != 0) return refused();
  strcpy(address.sun_path, slash + 1);
  return greeted(stream(AF_UNIX), (struct sockaddr *)&address, sizeof address, a[1] ? a[1] : "");
}

static bool try_abstract(char **a) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t length = strlen(a[0]);
  if (length >= sizeof address.sun_path - 1) return stopped("too long");
  memcpy(address.sun_path + 1, a[0], length);
  return greeted(stream(AF_UNIX), (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + length), a[1]);
}

static bool try_tcp(char **a) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[1]))};
  if (inet_pton(AF_INET, a[0], &address.sin_addr) != 1) return stopped("no address");
  return greeted(stream(AF_INET), (struct sockaddr *)&address, sizeof address, a[2]);
}

static bool try_tcp6(char **a) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)atoi(a[1]))};
  if (inet_pton(AF_INET6, a[0], &address.sin6_addr) != 1) return stopped("no address");
  return greeted(stream(AF_INET6), (struct sockaddr *)&address, sizeof address, a[2]);
}

/* The default gateway, which may stand for the host's own loopback. */
static bool try_gateway(char **a) {
  FILE *routes = fopen("/proc/net/route", "r");
  char line[256], device[32];
  unsigned destination, gateway, found = 0;
  while (routes && fgets(line, sizeof line, routes))
    if (sscanf(line, "%31s %x %x", device, &destination, &gateway) == 3 && destination == 0 && gateway != 0) found = gateway;
  if (routes) fclose(routes);
  if (!found) return stopped("no route");
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[0])), .sin_addr.s_addr = found};
  return greeted(stream(AF_INET), (const struct sockaddr *)&address, sizeof address, a[1]);
}

/* reached: a socket to whoever runs this machine; no network namespace has a say in it. It is connected to nobody. */
static bool try_vsock(char **a) {
  (void)a;
  return stream(AF_VSOCK) >= 0 ? reached("made") : refused();
}

/* Programs of 64 bits may make 32-bit calls as well, whose numbers are others. */
static long call32(long number, long a, long b, long c, long d) {
#if defined(__x86_64__)
  long result;
  __asm__ volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d), "D"(0) : "memory", "r8", "r9", "r10", "r11");
  return result;
#else
  (void)number, (void)a, (void)b, (void)c, (void)d;
  return -ENOSYS;
#endif
}

static bool try_vsock32(char **a) {
  (void)a;
  static unsigned family[3] = {AF_VSOCK, SOCK_STREAM, 0}; /* where 32 bits get to: this program is not position-independent */
  if (call32(359, AF_VSOCK, SOCK_STREAM, 0, 0) >= 0) return reached("made");
  const long fd = call32(102, 1, (long)(uintptr_t)family, 0, 0);
  errno = (int)-fd;
  return fd >= 0 ? reached("made by the old door") : refused();
}

static bool try_namespace32(char **a) {
  (void)a;
  const long result = call32(310, CLONE_NEWUSER, 0, 0, 0);
  errno = (int)-result;
  return result == 0 ? reached("made") : refused();
}

/* Listens from now on, and greets whoever comes; reached: it listens. Whom it serves, the host sees. */
static bool try_listen(char **a) {
  const int fd = stream(AF_INET), yes = 1;
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(a[0])), .sin_addr.s_addr = INADDR_ANY};
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 4) != 0) return refused();
  const pid_t pid = fork();
  if (pid < 0) return refused();
  if (pid == 0) {
    alarm(600);
    for (int null = open("/dev/null", O_RDWR), i = 0; i < 3; ++i) dup2(null, i);
    for (int peer; (peer = accept(fd, NULL, NULL)) >= 0; close(peer))
      if (write(peer, a[1], strlen(a[1])) < 0) continue;
    _exit(0);
  }
  return reached("listening");
}

/* reached: some process's command line or environment holds the mark */
static bool try_processes(char **a) {
  DIR *proc = opendir("/proc");
  if (!proc) return refused();
  bool found = false;
  for (struct dirent *entry; (entry = readdir(proc));) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9' || atoi(entry->d_name) == getpid() || atoi(entry->d_name) == getppid()) continue;
    for (int which = 0; which < 2; ++which) {
      char path[300];
      snprintf(path, sizeof path, "/proc/%s/%s", entry->d_name, which ? "environ" : "cmdline");
      found |= holds(path, a[0]);
    }
  }
  closedir(proc);
  return found ? reached("seen") : stopped("no process has it");
}

static bool is_it(const char *pid, const char *mark) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/cmdline", pid);
  return holds(path, mark);
}

/* reached: the process with the mark can be traced */
static bool try_trace(char **a) {
  const pid_t pid = atoi(a[0]);
  if (ptrace(PTRACE_SEIZE, pid, NULL, NULL) != 0) return refused();
  return is_it(a[0], a[1]) ? reached("traced") : stopped("another process has that number here");
}

/* The host sees whether it came. */
static bool try_signal(char **a) { return kill(atoi(a[0]), SIGUSR1) == 0 ? reached("sent") : refused(); }

/* The session holder is process 1: whoever commands it forges exit statuses and hides that it runs. */
static bool try_holder(char **a) {
  (void)a;
  const int handle = (int)syscall(SYS_pidfd_open, 1, 0);
  for (int fd = 3; handle >= 0 && fd < 16; ++fd)
    if (syscall(SYS_pidfd_getfd, handle, fd, 0) >= 0) return reached("its descriptors were taken");
  for (int fd = 0; fd < 16; ++fd) {
    char path[32];
    snprintf(path, sizeof path, "/proc/1/fd/%d", fd);
    struct stat about;
    if (stat(path, &about) == 0) return reached("its descriptors were seen");
  }
  if (open("/proc/1/mem", O_RDWR | O_CLOEXEC) >= 0) return reached("its memory was opened");
  if (ptrace(PTRACE_SEIZE, 1, NULL, NULL) != 0) return refused();
  return reached("traced");
}

/* reached: a descriptor that nobody gave us. Looked for before we open any. */
static char given[256];

static void note_descriptors(void) {
  for (int fd = 3; fd < 1024 && !*given; ++fd) {
    char path[64];
    if (fcntl(fd, F_GETFD) < 0) continue;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (readlink(path, given, sizeof given - 1) <= 0) snprintf(given, sizeof given, "descriptor %d", fd);
  }
}

static bool try_descriptors(char **a) {
  (void)a;
  return *given ? reached(given) : stopped("none but 0, 1 and 2");
}

static bool try_remount(char **a) {
  return mount(NULL, a[0], NULL, MS_REMOUNT | MS_BIND, NULL) == 0 ? try_write(a + 1) : refused();
}

static bool try_uncover(char **a) { return umount2(a[0], MNT_DETACH) == 0 ? reached("unmounted") : refused(); }

static bool try_mount(char **a) { return mount("proc", a[0], "proc", 0, NULL) == 0 ? reached("mounted") : refused(); }

/* reached: a device of the machine was made and could be opened */
static bool try_device(char **a) {
  unlink(a[0]);
  if (mknod(a[0], S_IFBLK | 0600, makedev((unsigned)atoi(a[1]), (unsigned)atoi(a[2]))) != 0) return refused();
  const int fd = open(a[0], O_RDONLY | O_CLOEXEC);
  const bool answer = fd >= 0 ? reached("opened") : refused();
  unlink(a[0]);
  return answer;
}

static bool try_namespace(char **a) {
  (void)a;
  return unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0 ? reached("made") : refused();
}

/* reached: the payload of the key in the user's keyring is the mark */
static bool try_keyring(char **a) {
  const long key = syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, "user", a[0], 0);
  char payload[256] = "";
  if (key < 0) return refused();
  if (syscall(SYS_keyctl, KEYCTL_READ, key, payload, sizeof payload - 1) < 0) return refused();
  return strstr(payload, a[1]) ? reached("read") : stopped("another key");
}

static bool try_keyring32(char **a) {
  static char name[64], payload[256];
  snprintf(name, sizeof name, "%s", a[0]);
  static char type[] = "user";
  const long key = call32(288, KEYCTL_SEARCH, KEY_SPEC_USER_KEYRING, (long)(uintptr_t)type, (long)(uintptr_t)name);
  errno = (int)-key;
  if (key < 0) return refused();
  if (call32(288, KEYCTL_READ, key, (long)(uintptr_t)payload, sizeof payload - 1) < 0) return stopped("found, and not read");
  return strstr(payload, a[1]) ? reached("read") : stopped("another key");
}

static bool try_shared_memory(char **a) {
  const int id = shmget(atoi(a[0]), 0, 0);
  if (id < 0) return refused();
  const char *memory = shmat(id, NULL, SHM_RDONLY);
  if (memory == (void *)-1) return refused();
  return !strncmp(memory, a[1], strlen(a[1])) ? reached("read") : stopped("other memory");
}

/* reached: the kernel is the host's */
static bool try_kernel(char **a) {
  errno = 0;
  if (holds("/proc/sys/kernel/random/boot_id", a[0])) return reached("the same");
  return errno ? refused() : stopped("another kernel");
}

/* Types a command into the terminal, as if the user had. */
static bool try_type(char **a) {
  const int fd = open(a[0], O_RDWR | O_NOCTTY | O_CLOEXEC);
  if (fd < 0) return refused();
  for (const char *c = a[1]; *c; ++c)
    if (ioctl(fd, TIOCSTI, c) != 0) return refused();
  return reached("typed");
}

/* What follows fills things up; the limits say how far. The whole group is one: it ends with the attempt. */

static bool try_fork_bomb(char **a) {
  const int most = atoi(a[0]);
  int count = 0;
  setpgid(0, 0);
  for (; count < most; ++count) {
    const pid_t pid = fork();
    if (pid < 0) break;
    if (pid == 0) {
      for (;;) pause();
    }
  }
  signal(SIGTERM, SIG_IGN); /* for us alone: the children have been made */
  kill(0, SIGTERM);
  snprintf(why, sizeof why, "%d processes", count);
  return count >= most;
}

static bool try_memory_bomb(char **a) {
  const size_t mebibytes = (size_t)atoi(a[0]);
  for (size_t i = 0; i < mebibytes; ++i) {
    char *part = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (part == MAP_FAILED) return refused();
    memset(part, 1, 1 << 20);
  }
  return reached("had it all");
}

static bool try_deep(char **a) {
  if (chdir(a[0]) != 0) return refused();
  for (int i = 0; i < atoi(a[1]); ++i)
    if (mkdir("d", 0700) != 0 || chdir("d") != 0) return refused();
  return reached("made");
}

static bool try_many(char **a) {
  for (int i = 0; i < atoi(a[1]); ++i) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%d", a[0], i);
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0);
    if (fd < 0) return refused();
    close(fd);
  }
  return reached("made");
}

/* Holds connections open until its input ends. */
static bool try_crowd(char **a) {
  int count = 0;
  while (count < atoi(a[1])) {
    char *one[] = {a[0], NULL};
    if (!try_unix(one)) break;
    ++count;
  }
  printf("%d\n", count);
  fflush(stdout);
  alarm(120);
  char byte;
  while (read(0, &byte, 1) > 0) continue;
  return reached("held");
}

/* A whole tree of processes that only grow in number, for as long as it is let. */
static bool try_fork_storm(char **a) {
  (void)a;
  puts("storming");
  fflush(stdout);
  for (;;)
    if (fork() < 0) usleep(1000);
  return true;
}

/* Answers at the session's socket in its place: with nothing, with what is none of the protocol's, or with an error that is
 * written to the terminal's liking. */
static bool try_impostor(char **a) {
  enum { HELLO_SIZE = 16 };
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  unlink(a[0]);
  strncpy(address.sun_path, a[0], sizeof address.sun_path - 1);
  const int fd = stream(AF_UNIX);
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || chmod(a[0], 0666) != 0 || listen(fd, 16) != 0) return refused();
  const pid_t pid = fork();
  if (pid != 0) return pid < 0 ? refused() : reached("in its place");
  for (int null = open("/dev/null", O_RDWR), i = 0; i < 3; ++i) dup2(null, i);
  for (int peer; (peer = accept(fd, NULL, NULL)) >= 0;) {
    unsigned char data[4096];
    const ssize_t n = strcmp(a[1], "mute") ? read(peer, data, sizeof data) : 0;
    if (!strcmp(a[1], "garbage")) {
      memset(data, 0xff, sizeof data);
      if (write(peer, data, sizeof data) < 0) continue;
    } else if (!strcmp(a[1], "error") && n >= HELLO_SIZE) {
      /* its own greeting is the right one; then an error */
      static const char text[] = "\33]0;title\7\33[2Jcleared\nkortex-cli: error: all is well\33[6n";
      unsigned char frame[256] = {KORTEX_SESSION_ERROR, 0, 0, 0, sizeof text - 1 + 4, 0, 0, 0, 1, 0, 0, 0};
      memcpy(frame + 12, text, sizeof text - 1);
      if (write(peer, data, HELLO_SIZE) < 0 || write(peer, frame, 12 + sizeof text - 1) < 0) continue;
    }
  }
  _exit(0);
}

static const struct verb {
  const char *name;
  int arguments;
  bool (*act)(char **);
} verbs[] = {
    {"read", 2, try_read}, {"list", 2, try_list}, {"write", 2, try_write}, {"open-for-writing", 1, try_open_for_writing},
    {"unix", 1, try_unix}, {"abstract", 2, try_abstract}, {"tcp", 3, try_tcp}, {"tcp6", 3, try_tcp6}, {"gateway", 2, try_gateway},
    {"vsock", 0, try_vsock}, {"listen", 2, try_listen}, {"processes", 1, try_processes}, {"trace", 2, try_trace},
    {"signal", 1, try_signal}, {"holder", 0, try_holder}, {"descriptors", 0, try_descriptors}, {"remount", 3, try_remount},
    {"uncover", 1, try_uncover}, {"mount", 1, try_mount}, {"device", 3, try_device}, {"namespace", 0, try_namespace},
    {"vsock32", 0, try_vsock32}, {"namespace32", 0, try_namespace32}, {"keyring32", 2, try_keyring32}, {"keyring", 2, try_keyring}, {"shared-memory", 2, try_shared_memory}, {"kernel", 1, try_kernel}, {"type", 2, try_type},
    {"fork-bomb", 1, try_fork_bomb}, {"memory-bomb", 1, try_memory_bomb}, {"deep", 2, try_deep}, {"many", 2, try_many},
    {"crowd", 2, try_crowd}, {"fork-storm", 0, try_fork_storm}, {"impostor", 2, try_impostor},
};

static bool attempt(int count, char **words) {
  for (size_t i = 0; i < sizeof verbs / sizeof *verbs; ++i)
    if (!strcmp(words[0], verbs[i].name)) return count > verbs[i].arguments ? verbs[i].act(words + 1) : stopped("USAGE: too few arguments");
  return stopped("USAGE: no such attempt");
}

/* In a process of its own: what it does to itself (another directory, a namespace, a signal) is its own. */
static bool attempt_apart(int count, char **words) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return refused();
  const pid_t pid = fork();
  if (pid < 0) return refused();
  if (pid == 0) {
    alarm(SECONDS);
    const bool answer = attempt(count, words);
    if (write(ends[1], why, strlen(why)) < 0) _exit(2);
    _exit(answer ? 0 : 1);
  }
  close(ends[1]);
  char said[sizeof why] = "";
  size_t length = 0;
  ssize_t n;
  while (length < sizeof said - 1 && (n = read(ends[0], said + length, sizeof said - 1 - length)) > 0) length += (size_t)n;
  close(ends[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  said[length] = 0;
  if (WIFSIGNALED(status)) snprintf(said, sizeof said, "ended by signal %d", WTERMSIG(status));
  snprintf(why, sizeof why, "%s", said);
  return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void answer_all(FILE *from, FILE *to) {
  char line[8192];
  while (fgets(line, sizeof line, from)) {
    line[strcspn(line, "\n")] = 0;
    char *words[ARGUMENTS_MAX + 3] = {NULL};
    int count = 0;
    for (char *rest = line, *word; count < ARGUMENTS_MAX + 2 && (word = strsep(&rest, "\t"));) words[count++] = word;
    if (count < 2) continue;
    const bool done = attempt_apart(count - 1, words + 1);
    fprintf(to, "%s\t%s\t%s\n", words[0], done ? "reached" : "stopped", why);
    fflush(to);
  }
}

static void note_signal(int number) {
  (void)number;
  if (write(1, "signalled\n", 10) < 0) _exit(2);
}

/* Bait, outside: it has a mark among its arguments, answers each line, and says when it was signalled. */
static int victim(void) {
  char line[64];
  const struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, NULL);
  puts("ready");
  fflush(stdout);
  while (fgets(line, sizeof line, stdin)) {
    puts("here");
    fflush(stdout);
  }
  return 0;
}

int main(int argc, char **argv) {
  note_descriptors();
  if (argc == 2 && !strcmp(argv[1], "ask")) {
    answer_all(stdin, stdout);
    return 0;
  }
  if (argc == 4 && !strcmp(argv[1], "answer")) {
    char fresh[4096];
    snprintf(fresh, sizeof fresh, "%s.new", argv[3]);
    FILE *from = fopen(argv[2], "re"), *to = fopen(fresh, "we");
    if (!from || !to) {
      perror("attempt");
      return 2;
    }
    answer_all(from, to);
    fclose(to);
    if (rename(fresh, argv[3]) != 0) perror("attempt");
    puts("answered");
    for (;;) pause();
  }
  if (argc == 3 && !strcmp(argv[1], "victim")) return victim();
  if (argc < 2) {
    fputs("usage: attempt ask | answer FROM TO | VERB ARGUMENT...\n", stderr);
    return 2;
  }
  const bool done = attempt(argc - 1, argv + 1);
  printf("%s: %s\n", done ? "reached" : "stopped", why);
  return done ? 0 : 1;
}
