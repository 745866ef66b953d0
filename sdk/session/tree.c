#include "tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

struct process {
  pid_t pid, parent;
  bool ours;
};

struct table {
  struct process *at;
  size_t count, capacity;
};

static ssize_t read_proc(pid_t pid, const char *file, char *text, size_t size) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t length = 0;
  ssize_t n;
  while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0) length += (size_t)n;
  close(fd);
  text[length] = 0;
  return (ssize_t)length;
}

static pid_t parent_of(pid_t pid) {
  char text[512];
  if (read_proc(pid, "stat", text, sizeof text) <= 0) return -1;
  const char *after_name = strrchr(text, ')'); /* the name may hold anything */
  int parent;
  return after_name && sscanf(after_name + 1, " %*c %d", &parent) == 1 ? (pid_t)parent : -1;
}

static bool list_processes(struct table *table) {
  DIR *proc = opendir("/proc");
  if (!proc) return false;
  struct dirent *entry;
  while ((entry = readdir(proc))) {
    char *end;
    const long pid = strtol(entry->d_name, &end, 10);
    if (*end || pid <= 0) continue;
    if (table->count == table->capacity) {
      const size_t capacity = table->capacity ? table->capacity * 2 : 256;
      struct process *at = realloc(table->at, capacity * sizeof *at);
      if (!at) break;
      table->at = at;
      table->capacity = capacity;
    }
    const pid_t parent = parent_of((pid_t)pid);
    if (parent >= 0) table->at[table->count++] = (struct process){(pid_t)pid, parent, false};
  }
  closedir(proc);
  return true;
}

static const struct process *find(const struct table *table, pid_t pid) {
  for (size_t i = 0; i < table->count; ++i)
    if (table->at[i].pid == pid) return &table->at[i];
  return NULL;
}

static void mark_descendants(struct table *table) {
  const pid_t self = getpid();
  for (bool again = true; again;) {
    again = false;
    for (size_t i = 0; i < table->count; ++i) {
      struct process *p = &table->at[i];
      if (p->ours || p->pid == self) continue;
      const struct process *parent = p->parent == self ? NULL : find(table, p->parent);
      if (p->parent == self || (parent && parent->ours)) p->ours = again = true;
    }
  }
}

static bool ignores_termination(pid_t pid) {
  char text[4096];
  if (read_proc(pid, "status", text, sizeof text) <= 0) return true;
  const char *line = strstr(text, "\nSigIgn:");
  return !line || (strtoull(line + 8, NULL, 16) & 1ull << (SIGTERM - 1));
}

/* `kortex-session relay`, entered from outside (it has no parent in here): it carries the end of the session to a client
 * that is elsewhere, and ends by itself when it has. */
static bool is_relay(const struct process *p) {
  char path[64], its[256], ours[256];
  if (p->parent != 0) return false;
  snprintf(path, sizeof path, "/proc/%d/exe", (int)p->pid);
  const ssize_t length = readlink(path, its, sizeof its);
  return length > 0 && length == readlink("/proc/self/exe", ours, sizeof ours) && memcmp(its, ours, (size_t)length) == 0;
}

/* As pid 1 of a pid namespace everything else in it belongs to the instance, entered from outside or not. Returns how many
 * were left alone. */
static size_t for_each(void (*act)(pid_t)) {
  struct table table = {0};
  const bool all = getpid() == 1;
  size_t spared = 0;
  if (list_processes(&table)) {
    if (!all) mark_descendants(&table);
    for (size_t i = 0; i < table.count; ++i) {
      const struct process *p = &table.at[i];
      if (p->pid == getpid() || !(all || p->ours)) continue;
      if (all && is_relay(p))
        ++spared;
      else
        act(p->pid);
    }
  }
  free(table.at);
  return spared;
}

static void terminate(pid_t pid) {
  const bool deaf = ignores_termination(pid);
  kill(pid, SIGTERM);
  if (deaf) kill(pid, SIGHUP);
  kill(pid, SIGCONT); /* a stopped process would never see them */
}

static void end(pid_t pid) { kill(pid, SIGKILL); }

void tree_terminate(void) { for_each(terminate); }

void tree_kill(void) {
  /* by walking, a fork may slip through; with nobody to be spared there is a way that misses none */
  if (for_each(end) == 0 && getpid() == 1) kill(-1, SIGKILL);
}
