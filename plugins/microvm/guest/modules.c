#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

enum { DEVICE_PATIENCE_MS = 30000 };

static void load(const char *path) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die_errno("open", path);
  if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST) die_errno("load", path);
  close(fd);
}

/* /modules/list: a line per module in loading order, `<group> <file>`; what is built in is not there. */
void modules_load(const char *group) {
  FILE *list = fopen("/modules/list", "re");
  char line[256], name[64], file[128], path[160];
  while (list && fgets(line, sizeof line, list)) {
    if (sscanf(line, "%63s %127s", name, file) != 2 || strcmp(name, group) != 0) continue;
    snprintf(path, sizeof path, "/modules/%s", file);
    load(path);
  }
  if (list) fclose(list);
}

/* The number before the p is the device's on its bus, which varies. */
static int try_port(unsigned number) {
  char ending[16];
  snprintf(ending, sizeof ending, "p%u", number);
  int fd = -1;
  DIR *devices = opendir("/dev");
  for (struct dirent *entry; devices && fd < 0 && (entry = readdir(devices));) {
    const char *p = strrchr(entry->d_name, 'p');
    if (strncmp(entry->d_name, "vport", 5) == 0 && p && strcmp(p, ending) == 0)
      fd = openat(dirfd(devices), entry->d_name, O_RDWR | O_NONBLOCK | O_CLOEXEC);
  }
  if (devices) closedir(devices);
  return fd;
}

int port_open(unsigned number) {
  int fd = try_port(number);
  if (fd >= 0) return fd;
  const int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
  if (events < 0 || bind(events, (const struct sockaddr *)&address, sizeof address) != 0) die_errno("listen for", "devices");
  const int64_t deadline = now_ms() + DEVICE_PATIENCE_MS;
  /* it may have come between the first look and the listening */
  while ((fd = try_port(number)) < 0) {
    const int64_t left = deadline - now_ms();
    struct pollfd wait = {events, POLLIN, 0};
    if (left <= 0) die("session port %u did not appear", number);
    char text[8192];
    if (poll(&wait, 1, (int)left) > 0)
      while (recv(events, text, sizeof text, 0) > 0) continue;
  }
  close(events);
  return fd;
}

void block_device(const char *serial, char *path, size_t size) {
  DIR *devices = opendir("/sys/block");
  for (struct dirent *entry; devices && (entry = readdir(devices));) {
    char name[320], text[64] = "";
    snprintf(name, sizeof name, "/sys/block/%s/serial", entry->d_name);
    const int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    const ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) continue;
    text[strcspn(text, "\n")] = 0;
    if (strcmp(text, serial) != 0) continue;
    snprintf(path, size, "/dev/%.32s", entry->d_name);
    closedir(devices);
    return;
  }
  die("no disk '%s'", serial);
}
