/* The agent's output on disk: two files written in turn, each at most KORTEX_SESSION_LOG_MAX bytes. */
#ifndef KORTEX_SESSION_OUTPUT_LOG_H
#define KORTEX_SESSION_OUTPUT_LOG_H

#include <stddef.h>
#include <stdint.h>

struct output_log {
  int fds[2]; /* -1: none; writable */
  int current;
};

void output_log_init(struct output_log *, int fd0, int fd1);
/* A full disk loses output, it never stops the agent. */
/* Where it stands: which of the two is being written, and how much is in it. */
uint64_t output_log_size(const struct output_log *);
void output_log_append(struct output_log *, const unsigned char *data, size_t size);

#endif
