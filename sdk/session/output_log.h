/* The agent's output on disk: two files written in turn, each at most KORTEX_SESSION_LOG_MAX bytes. */
#ifndef KORTEX_SESSION_OUTPUT_LOG_H
#define KORTEX_SESSION_OUTPUT_LOG_H

#include <stddef.h>

struct output_log {
  int fds[2]; /* -1: none; writable */
  int current;
};

void output_log_init(struct output_log *, int fd0, int fd1);
/* A full disk loses output, it never stops the agent. */
void output_log_append(struct output_log *, const unsigned char *data, size_t size);

#endif
