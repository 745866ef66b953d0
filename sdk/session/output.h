/* What the agent has written to its terminal: the most recent part of it, and how to show that to a
 * terminal that comes later. Positions count bytes since the agent's first. */
#ifndef KORTEX_SESSION_OUTPUT_H
#define KORTEX_SESSION_OUTPUT_H

#include <kortex/terminal_modes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

enum {
  OUTPUT_KEPT = 1 << 20,     /* how far a viewer may lag */
  OUTPUT_REPLAYED = 256 << 10, /* how much a new viewer is shown */
  OUTPUT_MARKS = 1024
};

struct output {
  unsigned char *ring; /* OUTPUT_KEPT bytes */
  uint64_t end;        /* position of the next byte */
  uint64_t rest;       /* position behind the last complete character or sequence */
  kortex_terminal terminal;
  /* where a replay may begin, ascending: outside sequences, characters and the alternate screen */
  uint64_t marks[OUTPUT_MARKS];
  unsigned first_mark, mark_count;
};

bool output_init(struct output *);
void output_append(struct output *, const unsigned char *data, size_t size);
/* The oldest position still kept. */
uint64_t output_oldest(const struct output *);
/* The bytes kept from `position` on, as far as they are contiguous in memory. */
const unsigned char *output_at(const struct output *, uint64_t position, size_t *size);

enum replay { REPLAY_RECENT, REPLAY_AFTER_LAG };
/* Appends to `out` (as STDOUT frames) what brings a terminal up to date and tells from which position live
 * output goes on. What makes a terminal answer or ring is left out: the questions were answered when asked. */
bool output_replay(const struct output *, enum replay, struct buffer *out, uint64_t *live_from);

#endif
