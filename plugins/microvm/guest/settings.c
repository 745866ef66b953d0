#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "guest.h"

struct setting *settings;
size_t setting_count;

char *read_whole(const char *path, size_t *size) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  struct stat st;
  if (fd < 0 || fstat(fd, &st) != 0) die_errno("read", path);
  *size = (size_t)st.st_size;
  char *text = calloc(1, *size + 1);
  size_t got = 0;
  for (ssize_t n; text && got < *size && (n = read(fd, text + got, *size - got)) > 0;) got += (size_t)n;
  close(fd);
  if (!text || got != *size) die_errno("read", path);
  return text;
}

void settings_read(const char *path) {
  size_t size;
  const char *text = read_whole(path, &size);
  size_t strings = 0;
  for (size_t i = 0; i < size; ++i) strings += !text[i];
  settings = calloc(strings / 2 + 1, sizeof *settings);
  for (const char *at = text; settings && at < text + size;) {
    struct setting *s = &settings[setting_count++];
    s->key = at;
    s->value = at + strlen(at) + 1;
    at = s->value + strlen(s->value) + 1;
  }
}

const char *setting_or(const char *key, const char *fallback) {
  for (size_t i = 0; i < setting_count; ++i)
    if (!strcmp(settings[i].key, key)) return settings[i].value;
  return fallback;
}

const char *setting(const char *key) {
  const char *value = setting_or(key, NULL);
  if (!value) die("no setting '%s'", key);
  return value;
}

long setting_number(const char *key) { return strtol(setting(key), NULL, 10); }
