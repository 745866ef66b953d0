/* Bytes waiting for a descriptor: appended at the end, taken from the front. */
#ifndef KORTEX_SESSION_BUFFER_H
#define KORTEX_SESSION_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

struct buffer {
  unsigned char *data;
  size_t start, size, capacity;
};

/* Room for `size` more bytes behind the present ones, contiguous; NULL: no memory. */
unsigned char *buffer_reserve(struct buffer *, size_t size);
/* `size` bytes have been put into the room. */
void buffer_commit(struct buffer *, size_t size);
bool buffer_append(struct buffer *, const void *data, size_t size);
void buffer_consume(struct buffer *, size_t size);
void buffer_free(struct buffer *);

static inline const unsigned char *buffer_front(const struct buffer *b) {
  return b->data ? b->data + b->start : NULL;
}

#endif
