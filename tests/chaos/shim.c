/* Stands between kortex-cli and libc (LD_PRELOAD): numbers every call by which the command changes anything outside its own
 * memory, and at the one that is asked for kills, or fails the call. What the command and each child that it forks for a
 * plugin do is numbered apart, so that the numbers do not depend on who is faster:
 *
 *     host     the command itself                call1, call2, …   its forked children, in order
 *
 *   KORTEX_CHAOS_LOG     file: a line per call made, "role number call result path detail"
 *   KORTEX_CHAOS_DATA    directory: of files in there, `detail` has what was written, in hexadecimal
 *   KORTEX_CHAOS_FAULT   ROLE:NUMBER:ACTION, before that call:
 *                          kill     everybody of the command, as `kill -9` of its process group or the end of memory does
 *                          crash    the caller alone
 *                          orphan   the command, when a child is the caller, which goes on
 *                          ERRNO    the call fails with it;  NUMBER+: so do all later ones in KORTEX_CHAOS_DATA (of ENOSPC those that
                                   need space), also of later children
 *   KORTEX_CHAOS_CLOCK   seconds by which the wall clock is wrong
 *
 * Programs that the command starts are left alone, and so are calls that libc makes within libc. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* What dlsym() gives is a function, and what connect() takes a union, which ISO C has no way to say. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define EXPORT __attribute__((visibility("default")))
#define REAL(name) ((__typeof__(&name))real(#name))

static bool active;
static char log_file[PATH_MAX], data_directory[PATH_MAX];
static char fault_role[32], fault_action[32];
static unsigned long fault_number;
static int fault_errno;
static bool fault_lasts, lasting;
static int64_t clock_offset;

static char role[32] = "host";
static pid_t command;
static atomic_ulong calls;
static atomic_uint forks;

static void *real(const char *name) {
  void *found = dlsym(RTLD_NEXT, name);
  if (found == NULL) abort();
  return found;
}

static void take(const char *name, char *to, size_t size) {
  const char *value = getenv(name);
  if (value != NULL) snprintf(to, size, "%s", value);
  unsetenv(name);
}

static void parse_fault(char *text) {
  char *number = strchr(text, ':'), *action = number == NULL ? NULL : strchr(number + 1, ':');
  if (action == NULL) return;
  *number++ = *action++ = '\0';
  snprintf(fault_role, sizeof fault_role, "%.31s", text);
  snprintf(fault_action, sizeof fault_action, "%.31s", action);
  char *end = NULL;
  fault_number = strtoul(number, &end, 10);
  fault_lasts = *end == '+';
  fault_errno = atoi(action);
}

__attribute__((constructor)) static void begin(void) {
  if (strcmp(program_invocation_short_name, "kortex-cli") != 0) return;
  char fault[128] = "", offset[32] = "";
  take("KORTEX_CHAOS_LOG", log_file, sizeof log_file);
  take("KORTEX_CHAOS_DATA", data_directory, sizeof data_directory);
  take("KORTEX_CHAOS_FAULT", fault, sizeof fault);
  take("KORTEX_CHAOS_CLOCK", offset, sizeof offset);
  unsetenv("LD_PRELOAD");
  parse_fault(fault);
  clock_offset = atoll(offset);
  command = getpid();
  active = true;
}

/* ---------------------------------------------------------------- the log */

static bool is_in(const char *path, const char *directory) {
  const size_t size = strlen(directory);
  return size > 0 && strncmp(path, directory, size) == 0 && (path[size] == '/' || path[size] == '\0');
}

static void append(const char *text, size_t size) {
  const int fd = (int)syscall(SYS_openat, AT_FDCWD, log_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  (void)!syscall(SYS_write, fd, text, size);
  syscall(SYS_close, fd);
}

static void log_call(unsigned long number, const char *call, long result, const char *path, const char *detail) {
  if (log_file[0] == '\0') return;
  const size_t room = strlen(path) + strlen(detail) + 128;
  char *line = malloc(room);
  if (line == NULL) return;
  const int size = snprintf(line, room, "%s\t%lu\t%s\t%ld\t%s\t%s\n", role, number, call, result, path, detail);
  append(line, (size_t)size);
  free(line);
}

/* ---------------------------------------------------------------- where it happens */

static const char *path_of_fd(int fd, char *buffer) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, buffer, PATH_MAX - 1);
  buffer[size > 0 ? size : 0] = '\0';
  return buffer;
}

static const char *path_at(int directory, const char *name, char *buffer) {
  if (name == NULL) name = "";
  if (name[0] == '/') {
    snprintf(buffer, PATH_MAX, "%s", name);
    return buffer;
  }
  if (directory == AT_FDCWD) {
    if (syscall(SYS_getcwd, buffer, PATH_MAX) < 0) buffer[0] = '\0';
  } else {
    path_of_fd(directory, buffer);
  }
  const size_t size = strlen(buffer);
  snprintf(buffer + size, PATH_MAX - size, "/%s", name);
  return buffer;
}

static void die(void) {
  for (;;) syscall(SYS_kill, getpid(), SIGKILL);
}

static bool may_fail(const char *call) {
  static const char *const allocating[] = {"open", "mkostemp", "mkdtemp", "mkdir", "mkdirat", "write", "pwrite", "writev", "symlink", "link", "linkat", "fsync"};
  if (fault_errno != ENOSPC) return true;
  for (size_t i = 0; i < sizeof allocating / sizeof allocating[0]; ++i)
    if (strcmp(call, allocating[i]) == 0) return true;
  return false;
}

/* The caller's number; *error: what the call is to fail with instead, 0: nothing. */
static unsigned long point(const char *call, const char *path, int *error) {
  const unsigned long number = atomic_fetch_add(&calls, 1) + 1;
  const bool now = number == fault_number && strcmp(role, fault_role) == 0;
  *error = fault_errno != 0 && (now || (lasting && is_in(path, data_directory) && may_fail(call))) ? fault_errno : 0;
  if (!now) return number;
  lasting = fault_lasts;
  char note[64];
  snprintf(note, sizeof note, "fault %s", fault_action);
  log_call(number, call, -1, path, note);
  if (strcmp(fault_action, "kill") == 0) {
    if (getpid() != command) syscall(SYS_kill, command, SIGKILL);
    die();
  }
  if (strcmp(fault_action, "crash") == 0) die();
  if (strcmp(fault_action, "orphan") == 0) syscall(SYS_kill, command, SIGKILL);
  return number;
}

#define AT_POINT(result_type, call, path, detail, failed, expression)  \
  do {                                                                 \
    int error_;                                                        \
    const unsigned long number_ = point(call, path, &error_);          \
    if (error_ != 0) {                                                 \
      log_call(number_, call, -error_, path, "failed on purpose");     \
      errno = error_;                                                  \
      return failed;                                                   \
    }                                                                  \
    result_type const result_ = (expression);                          \
    const int errno_ = errno;                                          \
    log_call(number_, call, result_ == failed ? -errno_ : 0, path, detail); \
    errno = errno_;                                                    \
    return result_;                                                    \
  } while (0)

/* ---------------------------------------------------------------- names */

static int open_at(const char *call, __typeof__(&openat) function, int directory, const char *name, int flags, mode_t mode) {
  if (!active || (flags & (O_CREAT | O_TRUNC)) == 0) return function(directory, name, flags, mode);
  char path[PATH_MAX];
  path_at(directory, name, path);
  AT_POINT(int, call, path, (flags & O_TRUNC) != 0 ? "truncate" : "", -1, function(directory, name, flags, mode));
}

#define MODE(flags)                                 \
  mode_t mode = 0;                                  \
  if (((flags) & (O_CREAT | __O_TMPFILE)) != 0) {   \
    va_list more;                                   \
    va_start(more, flags);                          \
    mode = va_arg(more, mode_t);                    \
    va_end(more);                                   \
  }

EXPORT int open(const char *name, int flags, ...) { MODE(flags) return open_at("open", REAL(openat), AT_FDCWD, name, flags, mode); }
EXPORT int open64(const char *name, int flags, ...) { MODE(flags) return open_at("open", REAL(openat), AT_FDCWD, name, flags, mode); }
EXPORT int openat(int directory, const char *name, int flags, ...) { MODE(flags) return open_at("open", REAL(openat), directory, name, flags, mode); }
EXPORT int openat64(int directory, const char *name, int flags, ...) { MODE(flags) return open_at("open", REAL(openat), directory, name, flags, mode); }

static FILE *stream(const char *name, const char *mode) {
  if (!active || (mode[0] == 'r' && strchr(mode, '+') == NULL)) return REAL(fopen)(name, mode);
  char path[PATH_MAX];
  path_at(AT_FDCWD, name, path);
  AT_POINT(FILE *, "open", path, mode[0] == 'w' ? "truncate" : "", NULL, REAL(fopen)(name, mode));
}
EXPORT FILE *fopen(const char *name, const char *mode) { return stream(name, mode); }
EXPORT FILE *fopen64(const char *name, const char *mode) { return stream(name, mode); }

/* The name is known afterwards only. */
static int temporary(char *name, int flags) {
  if (!active) return REAL(mkostemp)(name, flags);
  char path[PATH_MAX];
  path_at(AT_FDCWD, name, path);
  int error;
  const unsigned long number = point("mkostemp", path, &error);
  if (error != 0) {
    log_call(number, "mkostemp", -error, path, "failed on purpose");
    errno = error;
    return -1;
  }
  const int fd = REAL(mkostemp)(name, flags);
  const int kept = errno;
  log_call(number, "mkostemp", fd < 0 ? -kept : 0, path_at(AT_FDCWD, name, path), "");
  errno = kept;
  return fd;
}
EXPORT int mkostemp(char *name, int flags) { return temporary(name, flags); }
EXPORT int mkostemp64(char *name, int flags) { return temporary(name, flags); }
EXPORT int mkstemp(char *name) { return temporary(name, 0); }
EXPORT int mkstemp64(char *name) { return temporary(name, 0); }

EXPORT char *mkdtemp(char *name) {
  if (!active) return REAL(mkdtemp)(name);
  char path[PATH_MAX];
  path_at(AT_FDCWD, name, path);
  AT_POINT(char *, "mkdtemp", path, "", NULL, REAL(mkdtemp)(name));
}

#define ON_ONE_NAME(name, parameters, directory, file, ...)                  \
  EXPORT int name parameters {                                               \
    if (!active) return REAL(name)(__VA_ARGS__);                             \
    char path[PATH_MAX];                                                     \
    path_at(directory, file, path);                                          \
    AT_POINT(int, #name, path, "", -1, REAL(name)(__VA_ARGS__));             \
  }
ON_ONE_NAME(unlink, (const char *file), AT_FDCWD, file, file)
ON_ONE_NAME(unlinkat, (int directory, const char *file, int flags), directory, file, directory, file, flags)
ON_ONE_NAME(remove, (const char *file), AT_FDCWD, file, file)
ON_ONE_NAME(rmdir, (const char *file), AT_FDCWD, file, file)
ON_ONE_NAME(mkdir, (const char *file, mode_t mode), AT_FDCWD, file, file, mode)
ON_ONE_NAME(mkdirat, (int directory, const char *file, mode_t mode), directory, file, directory, file, mode)
ON_ONE_NAME(chmod, (const char *file, mode_t mode), AT_FDCWD, file, file, mode)
ON_ONE_NAME(fchmodat, (int directory, const char *file, mode_t mode, int flags), directory, file, directory, file, mode, flags)
ON_ONE_NAME(chown, (const char *file, uid_t uid, gid_t gid), AT_FDCWD, file, file, uid, gid)
ON_ONE_NAME(lchown, (const char *file, uid_t uid, gid_t gid), AT_FDCWD, file, file, uid, gid)
ON_ONE_NAME(fchownat, (int directory, const char *file, uid_t uid, gid_t gid, int flags), directory, file, directory, file, uid, gid, flags)
ON_ONE_NAME(utimensat, (int directory, const char *file, const struct timespec times[2], int flags), directory, file, directory, file, times, flags)
ON_ONE_NAME(truncate, (const char *file, off_t size), AT_FDCWD, file, file, size)

#define ON_TWO_NAMES(name, parameters, old_directory, old_file, new_directory, new_file, ...)         \
  EXPORT int name parameters {                                                                        \
    if (!active) return REAL(name)(__VA_ARGS__);                                                      \
    char path[PATH_MAX], other[PATH_MAX];                                                             \
    path_at(old_directory, old_file, path);                                                           \
    path_at(new_directory, new_file, other);                                                          \
    AT_POINT(int, #name, path, other, -1, REAL(name)(__VA_ARGS__));                                   \
  }
ON_TWO_NAMES(rename, (const char *from, const char *to), AT_FDCWD, from, AT_FDCWD, to, from, to)
ON_TWO_NAMES(renameat, (int a, const char *from, int b, const char *to), a, from, b, to, a, from, b, to)
ON_TWO_NAMES(renameat2, (int a, const char *from, int b, const char *to, unsigned flags), a, from, b, to, a, from, b, to, flags)
ON_TWO_NAMES(link, (const char *from, const char *to), AT_FDCWD, from, AT_FDCWD, to, from, to)
ON_TWO_NAMES(linkat, (int a, const char *from, int b, const char *to, int flags), a, from, b, to, a, from, b, to, flags)

EXPORT int symlink(const char *target, const char *file) {
  if (!active) return REAL(symlink)(target, file);
  char path[PATH_MAX];
  path_at(AT_FDCWD, file, path);
  AT_POINT(int, "symlink", path, target, -1, REAL(symlink)(target, file));
}
EXPORT int symlinkat(const char *target, int directory, const char *file) {
  if (!active) return REAL(symlinkat)(target, directory, file);
  char path[PATH_MAX];
  path_at(directory, file, path);
  AT_POINT(int, "symlink", path, target, -1, REAL(symlinkat)(target, directory, file));
}

/* ---------------------------------------------------------------- descriptors */

#define ON_DESCRIPTOR(name, parameters, descriptor, ...)          \
  EXPORT int name parameters {                                    \
    if (!active) return REAL(name)(__VA_ARGS__);                  \
    char path[PATH_MAX];                                          \
    path_of_fd(descriptor, path);                                 \
    AT_POINT(int, #name, path, "", -1, REAL(name)(__VA_ARGS__));  \
  }
ON_DESCRIPTOR(fsync, (int fd), fd, fd)
ON_DESCRIPTOR(fdatasync, (int fd), fd, fd)
ON_DESCRIPTOR(syncfs, (int fd), fd, fd)
ON_DESCRIPTOR(ftruncate, (int fd, off_t size), fd, fd, size)
ON_DESCRIPTOR(ftruncate64, (int fd, off64_t size), fd, fd, size)
ON_DESCRIPTOR(fchmod, (int fd, mode_t mode), fd, fd, mode)
ON_DESCRIPTOR(fchown, (int fd, uid_t uid, gid_t gid), fd, fd, uid, gid)
ON_DESCRIPTOR(futimens, (int fd, const struct timespec times[2]), fd, fd, times)
ON_DESCRIPTOR(flock, (int fd, int operation), fd, fd, operation)
ON_DESCRIPTOR(connect, (int fd, const struct sockaddr *address, socklen_t size), fd, fd, address, size)
ON_DESCRIPTOR(bind, (int fd, const struct sockaddr *address, socklen_t size), fd, fd, address, size)
ON_DESCRIPTOR(listen, (int fd, int backlog), fd, fd, backlog)

/* "OFFSET:BYTES", for files whose contents are wanted. */
static char *contents(const char *path, int fd, off_t offset, const void *data, size_t size) {
  if (!is_in(path, data_directory)) return NULL;
  char *text = malloc(2 * size + 32);
  if (text == NULL) return NULL;
  if (offset < 0) offset = (fcntl(fd, F_GETFL) & O_APPEND) != 0 ? lseek(fd, 0, SEEK_END) : lseek(fd, 0, SEEK_CUR);
  char *at = text + sprintf(text, "%lld:", (long long)offset);
  for (size_t i = 0; i < size; ++i) at += sprintf(at, "%02x", ((const unsigned char *)data)[i]);
  return text;
}

static ssize_t write_at(const char *call, int fd, const void *data, size_t size, off_t offset) {
  char path[PATH_MAX];
  path_of_fd(fd, path);
  int error;
  const unsigned long number = point(call, path, &error);
  ssize_t written = -1;
  if (error != 0) {
    log_call(number, call, -error, path, "failed on purpose");
    errno = error;
    return -1;
  }
  char *detail = contents(path, fd, offset, data, size);
  written = offset < 0 ? REAL(write)(fd, data, size) : REAL(pwrite)(fd, data, size, offset);
  const int kept = errno;
  log_call(number, call, written < 0 ? -kept : 0, path, detail == NULL ? "" : detail);
  free(detail);
  errno = kept;
  return written;
}
EXPORT ssize_t write(int fd, const void *data, size_t size) { return active ? write_at("write", fd, data, size, -1) : REAL(write)(fd, data, size); }
EXPORT ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
  return active ? write_at("pwrite", fd, data, size, offset) : REAL(pwrite)(fd, data, size, offset);
}
EXPORT ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
  return active ? write_at("pwrite", fd, data, size, offset) : REAL(pwrite)(fd, data, size, offset);
}

#define MOVES_BYTES(name, parameters, descriptor, ...)                    \
  EXPORT ssize_t name parameters {                                        \
    if (!active) return REAL(name)(__VA_ARGS__);                          \
    char path[PATH_MAX];                                                  \
    path_of_fd(descriptor, path);                                         \
    AT_POINT(ssize_t, #name, path, "", -1, REAL(name)(__VA_ARGS__));      \
  }
MOVES_BYTES(writev, (int fd, const struct iovec *parts, int count), fd, fd, parts, count)
MOVES_BYTES(sendfile, (int to, int from, off_t *offset, size_t size), to, to, from, offset, size)
MOVES_BYTES(sendfile64, (int to, int from, off64_t *offset, size_t size), to, to, from, offset, size)
MOVES_BYTES(copy_file_range, (int from, off64_t *from_at, int to, off64_t *to_at, size_t size, unsigned flags), to, from, from_at, to, to_at, size, flags)
MOVES_BYTES(send, (int fd, const void *data, size_t size, int flags), fd, fd, data, size, flags)
MOVES_BYTES(sendto, (int fd, const void *data, size_t size, int flags, const struct sockaddr *address, socklen_t length), fd, fd, data, size, flags, address, length)
MOVES_BYTES(sendmsg, (int fd, const struct msghdr *message, int flags), fd, fd, message, flags)

static int control(int fd, int operation, void *argument) {
  const bool locks = operation == F_SETLK || operation == F_SETLKW || operation == F_OFD_SETLK || operation == F_OFD_SETLKW;
  if (!active || !locks) return REAL(fcntl)(fd, operation, argument);
  char path[PATH_MAX];
  path_of_fd(fd, path);
  AT_POINT(int, "fcntl", path, "lock", -1, REAL(fcntl)(fd, operation, argument));
}
#define ARGUMENT                              \
  va_list more;                               \
  va_start(more, operation);                  \
  void *argument = va_arg(more, void *);      \
  va_end(more);
EXPORT int fcntl(int fd, int operation, ...) { ARGUMENT return control(fd, operation, argument); }
EXPORT int fcntl64(int fd, int operation, ...) { ARGUMENT return control(fd, operation, argument); }

/* ---------------------------------------------------------------- processes */

EXPORT pid_t fork(void) {
  if (!active) return REAL(fork)();
  int error;
  const unsigned long number = point("fork", "", &error);
  if (error != 0) {
    errno = error;
    return -1;
  }
  const unsigned child = atomic_fetch_add(&forks, 1) + 1;
  const pid_t pid = REAL(fork)();
  if (pid == 0) {
    char own[sizeof role];
    if (strcmp(role, "host") == 0) snprintf(own, sizeof own, "call%u", child);
    else snprintf(own, sizeof own, "%.20s.%u", role, child);
    memcpy(role, own, sizeof role);
    atomic_store(&calls, 0);
    atomic_store(&forks, 0);
    return pid;
  }
  const int kept = errno;
  log_call(number, "fork", pid < 0 ? -kept : 0, "", "");
  errno = kept;
  return pid;
}

#define SPAWNS(name)                                                                                                          \
  EXPORT int name(pid_t *restrict pid, const char *restrict file, const posix_spawn_file_actions_t *restrict actions,         \
                  const posix_spawnattr_t *restrict attributes, char *const arguments[restrict], char *const environment[restrict]) { \
    if (!active) return REAL(name)(pid, file, actions, attributes, arguments, environment);                                   \
    int error;                                                                                                                \
    const unsigned long number = point("spawn", file, &error);                                                                \
    if (error != 0) return error;                                                                                             \
    const int result = REAL(name)(pid, file, actions, attributes, arguments, environment);                                    \
    log_call(number, "spawn", -result, file, "");                                                                             \
    return result;                                                                                                            \
  }
SPAWNS(posix_spawn)
SPAWNS(posix_spawnp)

EXPORT int kill(pid_t pid, int signal) {
  if (!active || signal == 0) return REAL(kill)(pid, signal);
  AT_POINT(int, "kill", "", "", -1, REAL(kill)(pid, signal));
}

/* ---------------------------------------------------------------- the wall clock */

EXPORT int clock_gettime(clockid_t clock, struct timespec *now) {
  const int result = (int)syscall(SYS_clock_gettime, clock, now);
  if (active && result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += clock_offset;
  return result;
}
EXPORT int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  (void)zone;
  struct timespec precise;
  if (clock_gettime(CLOCK_REALTIME, &precise) != 0) return -1;
  now->tv_sec = precise.tv_sec;
  now->tv_usec = precise.tv_nsec / 1000;
  return 0;
}
EXPORT time_t time(time_t *out) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (out != NULL) *out = now.tv_sec;
  return now.tv_sec;
}
