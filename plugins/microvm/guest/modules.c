#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest.h"

static void load(int directory, const char *name) {
  const int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) die_errno("open", name);
  if (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST) die_errno("load", name);
  close(fd);
}

/* /modules/list: a line per module in loading order, `<group> <file>`; what is built in is not there. The directory stays
 * open: it is out of reach once there is another root. */
void modules_load(const char *group) {
  static int directory = -1;
  if (directory < 0) directory = open("/modules", O_PATH | O_DIRECTORY | O_CLOEXEC);
  const int list_fd = openat(directory, "list", O_RDONLY | O_CLOEXEC);
  FILE *list = list_fd >= 0 ? fdopen(list_fd, "re") : NULL;
  char line[256], name[64], file[128];
  while (list && fgets(line, sizeof line, list))
    if (sscanf(line, "%63s %127s", name, file) == 2 && !strcmp(name, group)) load(directory, file);
  if (list) fclose(list);
}

/* The number before the p is the device's on its bus, which varies. */
int port_open(unsigned number) {
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

int ports_watch(void) {
  const int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);
  const struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
  if (events < 0 || bind(events, (const struct sockaddr *)&address, sizeof address) != 0) die_errno("listen for", "devices");
  return events;
}

/* An event is strings: "change@/devices/…/vport1p3", and more of it that is not needed. A port that is added cannot be
 * opened at once; when its name is known (and it changes by that) it can. */
bool port_appeared(int watch, unsigned *number) {
  char text[8192];
  struct sockaddr_nl from;
  socklen_t from_size = sizeof from;
  for (ssize_t size; (size = recvfrom(watch, text, sizeof text - 1, 0, (struct sockaddr *)&from, &from_size)) > 0; from_size = sizeof from) {
    text[size] = 0;
    const char *name = strrchr(text, '/'), *p;
    if (from.nl_pid != 0 || !name || strncmp(name, "/vport", 6) != 0 || !(p = strrchr(name, 'p'))) continue;
    if (sscanf(p, "p%u", number) == 1) return true;
  }
  return false;
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
