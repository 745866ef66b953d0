#include "buffer.h"

#include <stdlib.h>
#include <string.h>

/* An idle connection should not keep what a busy moment needed. */
enum { KEPT_WHEN_EMPTY = 256 << 10 };

unsigned char *buffer_reserve(struct buffer *b, size_t size) {
  if (b->capacity - b->start - b->size < size) {
    if (b->start) {
      memmove(b->data, b->data + b->start, b->size);
      b->start = 0;
    }
    if (b->capacity - b->size < size) {
      size_t capacity = b->capacity ? b->capacity : 4096;
      while (capacity - b->size < size) capacity *= 2;
      unsigned char *data = realloc(b->data, capacity);
      if (!data) return NULL;
      b->data = data;
      b->capacity = capacity;
    }
  }
  return b->data + b->start + b->size;
}

void buffer_commit(struct buffer *b, size_t size) { b->size += size; }

bool buffer_append(struct buffer *b, const void *data, size_t size) {
  if (!size) return true;
  unsigned char *room = buffer_reserve(b, size);
  if (!room) return false;
  memcpy(room, data, size);
  b->size += size;
  return true;
}

void buffer_consume(struct buffer *b, size_t size) {
  b->start += size;
  b->size -= size;
  if (b->size) return;
  b->start = 0;
  if (b->capacity > KEPT_WHEN_EMPTY) buffer_free(b);
}

void buffer_free(struct buffer *b) {
  free(b->data);
  memset(b, 0, sizeof *b);
}
