#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

#define DISK "/disk"  /* the workspace's writable file system */
#define LOWER "/lower" /* the root file system that came as an image */
#define NEW_ROOT "/root"

static int first_root = -1, own_root = -1, share_fd = -1;

/* Every directory on the way; those that are made belong to root. */
static void make_directories(const char *path) {
  char part[4096];
  snprintf(part, sizeof part, "%s", path);
  for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = 0;
    mkdir(part, 0755);
    *slash = '/';
  }
  mkdir(part, 0755);
}

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags, const char *data) {
  if (mount(source, target, type, flags, data) != 0) die_errno("mount", target);
}

void disk_mount(void) {
  char device[64];
  block_device("disk", device, sizeof device);
  mkdir(DISK, 0755);
  mount_at(device, DISK, "ext4", MS_NOATIME, "noinit_itable,errors=remount-ro");
  mkdir(DISK "/upper", 0755);
  mkdir(DISK "/work", 0755);
}

static void set_capability(unsigned number, bool on) {
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  struct __user_cap_data_struct data[2];
  if (syscall(SYS_capget, &header, data) != 0) die_errno("read", "capabilities");
  const uint32_t bit = 1u << number % 32;
  data[number / 32].effective = on ? data[number / 32].effective | bit : data[number / 32].effective & ~bit;
  if (syscall(SYS_capset, &header, data) != 0) die_errno("set", "capabilities");
}

/* Overlays open what lies below them with O_NOATIME where whoever mounted them might, and the host refuses that to a
 * user who is not the files' owner. One that was mounted without the capability in question does not try. */
static const char *mount_plain_lower(void) {
  mkdir(LOWER, 0755);
  mkdir("/empty", 0755);
  set_capability(CAP_FOWNER, false);
  mount_at("overlay", LOWER, "overlay", MS_RDONLY, "lowerdir=" SHARE "/root:/empty");
  set_capability(CAP_FOWNER, true);
  return LOWER;
}

static const char *mount_lower(void) {
  const char *type = setting("root");
  if (!strcmp(type, "share")) return setting_number("uid") ? mount_plain_lower() : SHARE "/root";
  char device[64];
  if (strcmp(type, "ext4") != 0) modules_load(type);
  block_device("root", device, sizeof device);
  mkdir(LOWER, 0755);
  mount_at(device, LOWER, type, MS_RDONLY, NULL);
  return LOWER;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *at) {
  (void)st, (void)kind;
  if (at->level > 0) remove(path);
  return 0;
}

static void mount_open(int fd, const char *target) {
  char by_descriptor[64];
  snprintf(by_descriptor, sizeof by_descriptor, "/proc/self/fd/%d", fd);
  mount_at(by_descriptor, target, NULL, MS_BIND, NULL);
  close(fd);
}

static void enter_overlay(const char *lower) {
  char options[256];
  snprintf(options, sizeof options, "lowerdir=%s,upperdir=" DISK "/upper,workdir=" DISK "/work", lower);
  mkdir(NEW_ROOT, 0755);
  mount_at("overlay", NEW_ROOT, "overlay", 0, options);
  share_fd = open(SHARE, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (share_fd < 0) die_errno("open", SHARE);
  static const char *const moved[] = {"/dev", "/proc", "/sys"};
  for (size_t i = 0; i < sizeof moved / sizeof *moved; ++i) {
    char target[64];
    snprintf(target, sizeof target, NEW_ROOT "%s", moved[i]);
    mkdir(target, 0755);
    mount_at(moved[i], target, NULL, MS_MOVE, NULL);
  }
  /* One that is there is of the last start. */
  if (mkdir(DISK "/tmp", 0755) != 0) nftw(DISK "/tmp", remove_entry, 64, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
  chmod(DISK "/tmp", 01777);
  mkdir(DISK "/home", 0700);
  const int tmp = open(DISK "/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC), home = open(DISK "/home", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (chdir(NEW_ROOT) != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
    die_errno("enter", "the root file system");
  mkdir("/tmp", 0755);
  mount_open(tmp, "/tmp");
  /* Wherever it is to be, it is kept. */
  make_directories(setting("home"));
  mount_open(home, setting("home"));
  if (chown(setting("home"), (uid_t)setting_number("uid"), (gid_t)setting_number("gid")) != 0) die_errno("make", setting("home"));
}

static void system_mounts(void) {
  mkdir("/run", 0755);
  mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755");
  mkdir("/dev/pts", 0755);
  mount_at("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "mode=620,gid=5,ptmxmode=666");
  mkdir("/dev/shm", 01777);
  mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
  const char *const links[][2] = {{"/proc/self/fd", "/dev/fd"}, {"/proc/self/fd/0", "/dev/stdin"}, {"/proc/self/fd/1", "/dev/stdout"},
                                  {"/proc/self/fd/2", "/dev/stderr"}, {"pts/ptmx", "/dev/ptmx"}};
  unlink("/dev/ptmx");
  for (size_t i = 0; i < sizeof links / sizeof *links; ++i) {
    const int ignored = symlink(links[i][0], links[i][1]);
    (void)ignored;
  }
}

static void write_file(const char *path, int flags, const char *text) {
  const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
  if (fd < 0) die_errno("write", path);
  const size_t size = strlen(text);
  if (write(fd, text, size) != (ssize_t)size) die_errno("write", path);
  close(fd);
}

/* In place of whatever is there, which may be the host's or lead elsewhere. What is there already is left alone: to
 * write it takes the overlay longer than to read it. */
static void put_file(const char *path, const char *text) {
  char there[1024];
  const int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  const ssize_t size = fd >= 0 ? read(fd, there, sizeof there) : -1;
  if (fd >= 0) close(fd);
  if (size == (ssize_t)strlen(text) && !memcmp(there, text, (size_t)size)) return;
  unlink(path);
  write_file(path, O_TRUNC, text);
}

/* Programs ask for the name and home of whom they run as. */
static void name_user(void) {
  char wanted[32], line[1024];
  snprintf(wanted, sizeof wanted, ":%ld:", setting_number("uid"));
  FILE *users = fopen("/etc/passwd", "re");
  bool known = false;
  while (users && !known && fgets(line, sizeof line, users)) {
    const char *name_end = strchr(line, ':'), *uid = name_end ? strchr(name_end + 1, ':') : NULL;
    known = uid && !strncmp(uid, wanted, strlen(wanted));
  }
  if (users) fclose(users);
  if (known) return;
  snprintf(line, sizeof line, "%s:x:%ld:%ld::%s:/bin/sh\n", setting("user"), setting_number("uid"), setting_number("gid"), setting("home"));
  write_file("/etc/passwd", O_APPEND, line);
}

static void write_etc(void) {
  mkdir("/etc", 0755);
  const char *name = setting("hostname");
  sethostname(name, strlen(name));
  char line[512];
  snprintf(line, sizeof line, "%s\n", name);
  put_file("/etc/hostname", line);
  snprintf(line, sizeof line, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n127.0.1.1 %s\n", name);
  put_file("/etc/hosts", line);
  const char *resolver = setting_or("resolver", NULL);
  if (resolver) {
    snprintf(line, sizeof line, "nameserver %s\n", resolver);
    put_file("/etc/resolv.conf", line);
  }
  name_user();
}

/* Shallow ones first: the plugin has sorted them. */
static void mount_shared(void) {
  for (size_t i = 0; i < setting_count; ++i) {
    const bool read_only = !strcmp(settings[i].key, "bind-ro");
    if (!read_only && strcmp(settings[i].key, "bind") != 0) continue;
    if (i + 1 == setting_count || strcmp(settings[i + 1].key, "at") != 0) die("no target for '%s'", settings[i].value);
    char source[4200];
    snprintf(source, sizeof source, "/proc/self/fd/%d/%s", share_fd, settings[i].value);
    const char *target = settings[i + 1].value;
    struct stat st;
    if (stat(source, &st) != 0) die_errno("find", source);
    if (S_ISDIR(st.st_mode)) {
      make_directories(target);
    } else {
      char parent[4096];
      snprintf(parent, sizeof parent, "%s", target);
      char *slash = strrchr(parent, '/');
      if (slash && slash != parent) {
        *slash = 0;
        make_directories(parent);
      }
      const int fd = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
      if (fd >= 0) close(fd);
    }
    mount_at(source, target, NULL, MS_BIND, NULL);
    if (read_only) mount_at(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL);
  }
  /* The rest of it is nobody's business. */
  char share[64];
  snprintf(share, sizeof share, "/proc/self/fd/%d", share_fd);
  if (umount2(share, MNT_DETACH) != 0) die_errno("let go of", SHARE);
  close(share_fd);
}

/* An executable's beginning, and what it says it is interpreted by. */
static void prefetch(int root, const char *path, int depth) {
  static char bytes[128 << 10];
  struct open_how how = {.flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK, .resolve = RESOLVE_IN_ROOT};
  const int fd = (int)syscall(SYS_openat2, root, path, &how, sizeof how);
  const ssize_t size = fd >= 0 ? read(fd, bytes, sizeof bytes) : -1;
  if (fd >= 0) close(fd);
  Elf64_Ehdr file;
  if (depth == 0 || size < (ssize_t)sizeof file) return;
  memcpy(&file, bytes, sizeof file);
  if (memcmp(file.e_ident, ELFMAG, SELFMAG) != 0 || file.e_phentsize != sizeof(Elf64_Phdr)) return;
  for (unsigned i = 0; i < file.e_phnum && file.e_phoff + (i + 1) * sizeof(Elf64_Phdr) <= (size_t)size; ++i) {
    Elf64_Phdr part;
    memcpy(&part, bytes + file.e_phoff + i * sizeof part, sizeof part);
    char interpreter[256];
    if (part.p_type != PT_INTERP || part.p_filesz > sizeof interpreter || part.p_offset + part.p_filesz > (size_t)size || !part.p_filesz) continue;
    memcpy(interpreter, bytes + part.p_offset, part.p_filesz);
    interpreter[part.p_filesz - 1] = 0;
    prefetch(root, interpreter, 0);
    return;
  }
}

void root_prefetch(const char *program) {
  const int root = open(SHARE "/root", O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) return;
  prefetch(root, program, 1);
  close(root);
}

void root_build(void) {
  first_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const char *lower = mount_lower();
  enter_overlay(lower);
  system_mounts();
  write_etc();
  mount_shared();
}

void first_root_forget(const char *name) { unlinkat(first_root, name, 0); }

void root_seal(void) {
  own_root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
  sync();
  /* Back to where this began, and away with all that was mounted over it: the disk is then clean, and the next start has
   * nothing to repair. */
  if (fchdir(first_root) != 0 || chroot(".") != 0 || fchdir(own_root) != 0 || umount2(".", MNT_DETACH) != 0 || chdir("/") != 0) return;
  close(own_root);
  /* The overlay would clear the one away when it is mounted next, when somebody waits, and the other would be searched. */
  rmdir(DISK "/work/work");
  rmdir(DISK "/tmp");
  if (umount2(DISK, 0) == 0) return;
  /* Somebody cannot be ended. All of the disk's journal is done with, and nothing is written any more. */
  const int disk = open(DISK, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (disk >= 0) ioctl(disk, FIFREEZE, 0);
}
