/* Frames taken apart and put together; no I/O, no memory of its own but what `message` needs. */
#ifndef KORTEX_SESSION_FRAME_H
#define KORTEX_SESSION_FRAME_H

#include <kortex/session_protocol.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buffer.h"

struct frame {
  uint8_t type;
  const unsigned char *payload;
  size_t length;
};

struct frame_reader {
  struct buffer input;   /* bytes of frames not yet complete */
  struct buffer message; /* payload collected over frames with KORTEX_SESSION_MORE */
  uint8_t message_type;  /* 0: none is being collected */
  size_t consumed;       /* of `input`, by the frame handed out last */
  bool message_done;     /* `message` was handed out last */
};

enum frame_result { FRAME_NONE, FRAME_READY, FRAME_GARBAGE };

/* Appends what has arrived. False: no memory. */
bool frame_feed(struct frame_reader *, const void *data, size_t size);
/* The next whole message. Its payload lives until the next call. GARBAGE: the peer does not speak the
 * protocol; the reader must not be asked again. */
enum frame_result frame_next(struct frame_reader *, struct frame *);
void frame_reader_free(struct frame_reader *);

/* A cursor over a payload: reading beyond its end gives 0 and "" and is remembered. */
struct frame_fields {
  const unsigned char *at, *end;
  bool short_;
};
struct frame_fields fields_of(const struct frame *);
uint16_t field_u16(struct frame_fields *);
uint32_t field_u32(struct frame_fields *);
/* A NUL-terminated string within the payload. */
const char *field_string(struct frame_fields *);

bool frame_append(struct buffer *, uint8_t type, const void *payload, size_t length);
void put_u16(unsigned char *, uint16_t);
void put_u32(unsigned char *, uint32_t);
void put_u64(unsigned char *, uint64_t);
/* Writes the header of a frame whose payload has been read to header + KORTEX_SESSION_HEADER. */
void put_header(unsigned char *header, uint8_t type, size_t length);

/* START and RUN: strings stay in the payload, the two arrays are allocated together. */
struct program_request {
  uint32_t flags;
  uint16_t rows, cols;
  char **argv, **env; /* NULL-terminated */
  const char *directory;
};
/* False: malformed (or no memory). The payload must outlive the request. */
bool program_request_read(const struct frame *, struct program_request *);
void program_request_free(struct program_request *);

#endif
