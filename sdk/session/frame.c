#include "frame.h"

#include <stdlib.h>
#include <string.h>

static uint32_t get_u32(const unsigned char *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool frame_feed(struct frame_reader *r, const void *data, size_t size) {
  return buffer_append(&r->input, data, size);
}

enum frame_result frame_next(struct frame_reader *r, struct frame *f) {
  for (;;) {
    if (r->consumed) buffer_consume(&r->input, r->consumed);
    r->consumed = 0;
    if (r->message_done) buffer_free(&r->message);
    r->message_done = false;

    if (r->input.size < KORTEX_SESSION_HEADER) return FRAME_NONE;
    const unsigned char *header = buffer_front(&r->input);
    const uint32_t length = get_u32(header + 4);
    if (length > KORTEX_SESSION_PAYLOAD_MAX) return FRAME_GARBAGE;
    if (r->message_type && header[0] != r->message_type) return FRAME_GARBAGE;
    if (r->input.size - KORTEX_SESSION_HEADER < length) return FRAME_NONE;
    r->consumed = KORTEX_SESSION_HEADER + length;

    const bool more = header[1] & KORTEX_SESSION_MORE;
    if (!more && !r->message_type) {
      *f = (struct frame){header[0], header + KORTEX_SESSION_HEADER, length};
      return FRAME_READY;
    }
    if (header[0] != KORTEX_SESSION_START && header[0] != KORTEX_SESSION_RUN) return FRAME_GARBAGE;
    if (r->message.size + length > KORTEX_SESSION_MESSAGE_MAX) return FRAME_GARBAGE;
    if (!buffer_append(&r->message, header + KORTEX_SESSION_HEADER, length)) return FRAME_GARBAGE;
    r->message_type = header[0];
    if (more) continue;
    *f = (struct frame){r->message_type, buffer_front(&r->message), r->message.size};
    r->message_type = 0;
    r->message_done = true;
    return FRAME_READY;
  }
}

void frame_reader_free(struct frame_reader *r) {
  buffer_free(&r->input);
  buffer_free(&r->message);
}

struct frame_fields fields_of(const struct frame *f) {
  return (struct frame_fields){f->payload, f->length ? f->payload + f->length : f->payload, false};
}

uint16_t field_u16(struct frame_fields *s) {
  if (s->end - s->at < 2) {
    s->short_ = true;
    s->at = s->end;
    return 0;
  }
  const uint16_t value = (uint16_t)(s->at[0] | s->at[1] << 8);
  s->at += 2;
  return value;
}

uint32_t field_u32(struct frame_fields *s) {
  if (s->end - s->at < 4) {
    s->short_ = true;
    s->at = s->end;
    return 0;
  }
  const uint32_t value = get_u32(s->at);
  s->at += 4;
  return value;
}

const char *field_string(struct frame_fields *s) {
  const unsigned char *nul = s->at == s->end ? NULL : memchr(s->at, 0, (size_t)(s->end - s->at));
  if (!nul) {
    s->short_ = true;
    s->at = s->end;
    return "";
  }
  const char *text = (const char *)s->at;
  s->at = nul + 1;
  return text;
}

void put_u16(unsigned char *p, uint16_t v) {
  p[0] = (unsigned char)v;
  p[1] = (unsigned char)(v >> 8);
}

void put_u32(unsigned char *p, uint32_t v) {
  for (int i = 0; i < 4; ++i) p[i] = (unsigned char)(v >> 8 * i);
}

void put_u64(unsigned char *p, uint64_t v) {
  for (int i = 0; i < 8; ++i) p[i] = (unsigned char)(v >> 8 * i);
}

void put_header(unsigned char *header, uint8_t type, size_t length) {
  header[0] = type;
  header[1] = header[2] = header[3] = 0;
  put_u32(header + 4, (uint32_t)length);
}

bool frame_append(struct buffer *b, uint8_t type, const void *payload, size_t length) {
  const unsigned char *at = payload;
  do {
    const size_t part = length < KORTEX_SESSION_PAYLOAD_MAX ? length : KORTEX_SESSION_PAYLOAD_MAX;
    unsigned char *room = buffer_reserve(b, KORTEX_SESSION_HEADER + part);
    if (!room) return false;
    put_header(room, type, part);
    if (part) memcpy(room + KORTEX_SESSION_HEADER, at, part);
    buffer_commit(b, KORTEX_SESSION_HEADER + part);
    at += part;
    length -= part;
  } while (length);
  return true;
}

bool program_request_read(const struct frame *f, struct program_request *p) {
  struct frame_fields fields = fields_of(f);
  memset(p, 0, sizeof *p);
  p->flags = field_u32(&fields);
  p->rows = field_u16(&fields);
  p->cols = field_u16(&fields);
  const uint32_t argc = field_u32(&fields), envc = field_u32(&fields);
  /* each string takes at least its NUL: this bounds the allocation by what was really sent */
  const size_t left = (size_t)(fields.end - fields.at);
  if (fields.short_ || argc == 0 || argc > left || envc > left) return false;
  p->argv = calloc((size_t)argc + envc + 2, sizeof *p->argv);
  if (!p->argv) return false;
  p->env = p->argv + argc + 1;
  for (uint32_t i = 0; i < argc; ++i) p->argv[i] = (char *)(uintptr_t)field_string(&fields);
  for (uint32_t i = 0; i < envc; ++i) p->env[i] = (char *)(uintptr_t)field_string(&fields);
  p->directory = field_string(&fields);
  if (fields.short_ || !p->argv[0][0]) {
    program_request_free(p);
    return false;
  }
  return true;
}

void program_request_free(struct program_request *p) {
  free(p->argv);
  memset(p, 0, sizeof *p);
}
