/* kortex-session: the instance's main process on every runtime. See <kortex/session_protocol.h>. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "holder.h"
#include "program.h"
#include "relay.h"
#include "restrict.h"

static const char usage[] =
    "usage: kortex-session serve --dir DIR [--socket FILE]\n"
    "       kortex-session serve --listen-fd N --lock-fd N --status-fd N --log-fds N,M [--ready-fd N]\n"
    "       kortex-session relay SOCKET\n"
    "       kortex-session --version\n";

static struct holder holder;

struct options {
  const char *directory, *socket;
  int listen_fd, lock_fd, status_fd, log_fds[2], ready_fd;
};

static int fail_usage(const char *what, const char *which) {
  fprintf(stderr, "kortex-session: %s '%s'\n%s", what, which, usage);
  return KORTEX_SESSION_EXIT_USAGE;
}

static int fail_setup(const char *what, const char *which) {
  fprintf(stderr, "kortex-session: cannot %s '%s': %s\n", what, which, reason(errno));
  return KORTEX_SESSION_EXIT_SETUP;
}

static bool read_number(const char *text, char end, int *number, const char **rest) {
  char *stop;
  const long value = strtol(text, &stop, 10);
  if (stop == text || *stop != end || value < 0 || value > 1 << 20) return false;
  *number = (int)value;
  if (rest) *rest = stop + 1;
  return true;
}

static int read_options(int argc, char **argv, struct options *o) {
  *o = (struct options){NULL, NULL, -1, -1, -1, {-1, -1}, -1};
  for (int i = 0; i < argc; ++i) {
    const char *name = argv[i];
    const char *value = i + 1 < argc ? argv[i + 1] : NULL;
    static const char *const known[] = {"--dir", "--listen-fd", "--lock-fd", "--status-fd", "--ready-fd", "--log-fds", "--socket"};
    size_t which = 0;
    while (which < sizeof known / sizeof *known && strcmp(name, known[which]) != 0) ++which;
    if (which == sizeof known / sizeof *known) return fail_usage("unknown option", name);
    if (!value) return fail_usage("no value for", name);
    ++i;
    int *const numbers[] = {NULL, &o->listen_fd, &o->lock_fd, &o->status_fd, &o->ready_fd};
    const char *rest;
    if (which == 0)
      o->directory = value;
    else if (which == 6)
      o->socket = value;
    else if (which < 5 ? !read_number(value, 0, numbers[which], NULL)
                       : !(read_number(value, ',', &o->log_fds[0], &rest) && read_number(rest, 0, &o->log_fds[1], NULL)))
      return fail_usage("not a descriptor", value);
  }
  if (!o->directory && o->listen_fd < 0) return fail_usage("no", "--dir or --listen-fd");
  if (!o->directory && o->socket) return fail_usage("not without --dir:", "--socket");
  if (o->directory && (o->listen_fd >= 0 || o->lock_fd >= 0 || o->status_fd >= 0 || o->log_fds[0] >= 0))
    return fail_usage("not together with --dir:", "--listen-fd, --lock-fd, --status-fd, --log-fds");
  return 0;
}

static int open_in(int directory, const char *name) {
  return openat(directory, name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int lock(int fd, const char *name) {
  struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  if (fcntl(fd, F_SETLK, &whole) == 0) return 0;
  if (errno != EACCES && errno != EAGAIN) return fail_setup("lock", name);
  fprintf(stderr, "kortex-session: already running in '%s'\n", name);
  return KORTEX_SESSION_EXIT_TAKEN;
}

/* In the instance's directory; or elsewhere, where that one is of a file system that cannot have sockets (a folder of a
 * virtual machine's host). */
static int listen_at(const char *path, uid_t owner) {
  holder.socket_name = path;
  if (path) {
    holder.socket_name = enter_directory_of(path);
    if (!holder.socket_name) return fail_setup("enter the directory of", path);
    holder.socket_directory_fd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (holder.socket_directory_fd < 0) return fail_setup("enter the directory of", path);
  } else {
    holder.socket_name = "session.sock";
    holder.socket_directory_fd = fcntl(holder.directory_fd, F_DUPFD_CLOEXEC, 3);
  }
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (strlen(holder.socket_name) >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return fail_setup("make", holder.socket_name);
  }
  memcpy(address.sun_path, holder.socket_name, strlen(holder.socket_name) + 1);
  unlink(holder.socket_name); /* of a holder that was killed: we have the lock */
  holder.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const mode_t mask = umask(0177);
  const int bound = holder.listen_fd < 0 ? -1 : bind(holder.listen_fd, (struct sockaddr *)&address, sizeof address);
  umask(mask);
  if (bound != 0) return fail_setup("make", holder.socket_name);
  /* a container's root serves the user whose directory it was given; nobody else gets as far as the socket */
  if (!path && owner != (uid_t)-1 && owner != geteuid()) chmod(holder.socket_name, 0666);
  if (listen(holder.listen_fd, 64) != 0) return fail_setup("listen on", holder.socket_name);
  return 0;
}

static int open_directory(const struct options *o) {
  const char *name = o->directory;
  const int directory = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0 || fchdir(directory) != 0) return fail_setup("enter", name);
  struct stat st;
  if (fstat(directory, &st) != 0) return fail_setup("read", name);
  holder.directory_fd = directory;
  const bool closed_to_others = !(st.st_mode & 077);
  if (closed_to_others) holder.directory_owner = st.st_uid;

  holder.lock_fd = open_in(directory, "session.lock");
  if (holder.lock_fd < 0) return fail_setup("open", "session.lock");
  if (flock(holder.lock_fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_setup("lock", name);
    fprintf(stderr, "kortex-session: already running in '%s'\n", name);
    return KORTEX_SESSION_EXIT_TAKEN;
  }
  const int taken = lock(holder.lock_fd, name);
  if (taken) return taken;
  holder.status_fd = open_in(directory, "status");
  if (holder.status_fd < 0) return fail_setup("open", "status");
  if (ftruncate(holder.status_fd, 0) != 0) return fail_setup("empty", "status");
  output_log_init(&holder.log, open_in(directory, "output.0"), open_in(directory, "output.1"));

  const int failed = listen_at(o->socket, closed_to_others ? st.st_uid : (uid_t)-1);
  if (failed) return failed;
  if (chdir("/") != 0) return fail_setup("enter", "/");
  return 0;
}

static int take_descriptors(const struct options *o) {
  const int fds[] = {o->listen_fd, o->lock_fd, o->status_fd, o->log_fds[0], o->log_fds[1], o->ready_fd};
  for (size_t i = 0; i < sizeof fds / sizeof *fds; ++i) {
    char number[16];
    snprintf(number, sizeof number, "%d", fds[i]);
    if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0) return fail_setup("use descriptor", number);
  }
  holder.listen_fd = o->listen_fd;
  holder.lock_fd = o->lock_fd;
  holder.status_fd = o->status_fd;
  output_log_init(&holder.log, o->log_fds[0], o->log_fds[1]);
  return o->lock_fd >= 0 ? lock(o->lock_fd, "this instance") : 0;
}

static int serve(int argc, char **argv) {
  struct options o;
  int result = read_options(argc, argv, &o);
  if (result) return result;
  holder.listen_fd = holder.lock_fd = holder.status_fd = holder.directory_fd = holder.socket_directory_fd = -1;
  holder.directory_owner = (uid_t)-1;
  result = o.directory ? open_directory(&o) : take_descriptors(&o);
  if (result) return result;
  /* whatever else the starter left open is not for the agent either */
  close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
  /* a kernel without filters is a virtual machine's own */
  if (getpid() == 1 && !restrict_sandbox() && errno != EINVAL) return fail_setup("restrict", "what runs in here");
  fcntl(holder.listen_fd, F_SETFL, fcntl(holder.listen_fd, F_GETFL) | O_NONBLOCK);
  return holder_serve(&holder, o.ready_fd);
}

int main(int argc, char **argv) {
  /* the usual traps when one of 0 to 2 was closed */
  for (int fd; (fd = open("/dev/null", O_RDWR)) >= 0;)
    if (fd > 2) {
      close(fd);
      break;
    }
  if (argc == 2 && !strcmp(argv[1], "--version")) {
    printf("kortex-session %s (protocol %d.%d)\n", KORTEX_VERSION, KORTEX_SESSION_MAJOR, KORTEX_SESSION_MINOR);
    return 0;
  }
  if (argc >= 2 && !strcmp(argv[1], "serve")) return serve(argc - 2, argv + 2);
  if (argc == 3 && !strcmp(argv[1], "relay")) return relay(argv[2]);
  if (argc >= 2 && strcmp(argv[1], "relay") != 0) return fail_usage("unknown command", argv[1]);
  fputs(usage, stderr);
  return KORTEX_SESSION_EXIT_USAGE;
}
