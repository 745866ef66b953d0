#include "output.h"

#include <stdlib.h>
#include <string.h>

#include "frame.h"

enum { MARK_EVERY = 1024, MARK_ANYWHERE_AFTER = 8192 };

bool output_init(struct output *o) {
  memset(o, 0, sizeof *o);
  kortex_terminal_init(&o->terminal);
  o->ring = malloc(OUTPUT_KEPT);
  return o->ring != NULL;
}

uint64_t output_oldest(const struct output *o) { return o->end > OUTPUT_KEPT ? o->end - OUTPUT_KEPT : 0; }

static void add_mark(struct output *o, uint64_t position) {
  if (o->mark_count == OUTPUT_MARKS) {
    o->first_mark = (o->first_mark + 1) % OUTPUT_MARKS;
    --o->mark_count;
  }
  o->marks[(o->first_mark + o->mark_count++) % OUTPUT_MARKS] = position;
}

void output_append(struct output *o, const unsigned char *data, size_t size) {
  for (size_t i = 0; i < size; ++i) {
    const bool was_alternate = kortex_terminal_is_alternate(&o->terminal);
    kortex_terminal_byte(&o->terminal, data[i]);
    o->ring[o->end++ % OUTPUT_KEPT] = data[i];
    if (!kortex_terminal_is_at_rest(&o->terminal)) continue;
    o->rest = o->end;
    if (kortex_terminal_is_alternate(&o->terminal)) continue;
    const uint64_t last =
        o->mark_count ? o->marks[(o->first_mark + o->mark_count - 1) % OUTPUT_MARKS] : 0;
    if (was_alternate || (data[i] == '\n' && o->end - last >= MARK_EVERY) || o->end - last >= MARK_ANYWHERE_AFTER)
      add_mark(o, o->end);
  }
}

const unsigned char *output_at(const struct output *o, uint64_t position, size_t *size) {
  const size_t index = position % OUTPUT_KEPT;
  const uint64_t left = o->end - position;
  *size = left < OUTPUT_KEPT - index ? (size_t)left : OUTPUT_KEPT - index;
  return o->ring + index;
}

static uint64_t replay_start(const struct output *o) {
  if (o->end <= OUTPUT_REPLAYED) return 0;
  const uint64_t wanted = o->end - OUTPUT_REPLAYED;
  for (unsigned i = 0; i < o->mark_count; ++i) {
    const uint64_t mark = o->marks[(o->first_mark + i) % OUTPUT_MARKS];
    if (mark >= wanted) return mark;
  }
  return o->rest;
}

/* Does this control sequence make the terminal send something? */
static bool is_question(const kortex_terminal *t, unsigned char final) {
  const unsigned first = t->parameter_count ? t->parameters[0] : 0;
  switch (final) {
    case 'c': case 'n': return true;                            /* device attributes, status, cursor position */
    case 'x': return !t->intermediate;                          /* terminal parameters */
    case 'p': return t->intermediate == '$';                    /* is a mode set? */
    case 'q': return t->private_mark == '>';                    /* version */
    case 'u': return t->private_mark == '?';                    /* keyboard flags */
    case 't': return first >= 11 && first <= 21;                /* window size and title */
    case 'w': case 'y': return true;                            /* presentation, checksums */
    default: return false;
  }
}

/* Of the string sequences only those that set something that lasts and answer nothing. */
static bool is_lasting_string(const unsigned char *sequence, size_t size) {
  static const char *const lasting[] = {"0", "1", "2", "4", "8", "10", "11", "12", "104", "110", "111", "112"};
  if (sequence[1] != ']' || memchr(sequence, '?', size)) {
    return size > 3 && sequence[1] == ']' && sequence[2] == '8' && sequence[3] == ';'; /* a link may hold a '?' */
  }
  size_t digits = 2;
  while (digits < size && sequence[digits] >= '0' && sequence[digits] <= '9') ++digits;
  for (size_t i = 0; i < sizeof lasting / sizeof *lasting; ++i)
    if (strlen(lasting[i]) == digits - 2 && !memcmp(lasting[i], sequence + 2, digits - 2)) return true;
  return false;
}

enum { SEQUENCE_KEPT = 4096 };

struct replayer {
  kortex_terminal terminal;
  struct buffer text;
  unsigned char sequence[SEQUENCE_KEPT];
  size_t length;
  bool failed;
};

static void emit(struct replayer *r, const unsigned char *data, size_t size) {
  if (!buffer_append(&r->text, data, size)) r->failed = true;
}

static void end_sequence(struct replayer *r, const kortex_terminal *before, unsigned char last) {
  const size_t length = r->length;
  r->length = 0;
  if (length > SEQUENCE_KEPT || length < 2) return;
  switch (before->state) {
    case KORTEX_TERMINAL_CSI:
      if (is_question(before, last)) return;
      break;
    case KORTEX_TERMINAL_STRING:
    case KORTEX_TERMINAL_STRING_ESCAPE:
      if (!is_lasting_string(r->sequence, length)) return;
      break;
    case KORTEX_TERMINAL_ESCAPE:
      if (last == 'Z') return; /* who are you, in its oldest form */
      break;
    default: break;
  }
  emit(r, r->sequence, length);
}

static void replay_byte(struct replayer *r, unsigned char c) {
  kortex_terminal before = r->terminal;
  if (before.state == KORTEX_TERMINAL_STRING_ESCAPE && c != '\\') {
    /* Cut short by another sequence, which some terminals take for the end of it: it may be a question. */
    before.state = KORTEX_TERMINAL_ESCAPE;
    r->sequence[0] = 0x1b;
    r->length = 1;
  }
  kortex_terminal_byte(&r->terminal, c);
  const bool was = before.state != KORTEX_TERMINAL_GROUND, is = r->terminal.state != KORTEX_TERMINAL_GROUND;
  /* enquiry; bell, unless it ends a string: a terminal obeys them within sequences, too */
  if (c == 0x05 || (c == 0x07 && before.state != KORTEX_TERMINAL_STRING)) return;
  if (!was && !is) {
    emit(r, &c, 1);
    return;
  }
  const bool restarted = is && c == 0x1b && before.state != KORTEX_TERMINAL_STRING;
  if (restarted || before.state == KORTEX_TERMINAL_GROUND) r->length = 0;
  if (r->length < SEQUENCE_KEPT) r->sequence[r->length] = c;
  ++r->length;
  if (!is) end_sequence(r, &before, c);
}

static void emit_text(struct replayer *r, const char *text) { emit(r, (const unsigned char *)text, strlen(text)); }

bool output_replay(const struct output *o, enum replay kind, struct buffer *out, uint64_t *live_from) {
  struct replayer *r = calloc(1, sizeof *r);
  if (!r) return false;
  kortex_terminal_init(&r->terminal);
  char modes[KORTEX_TERMINAL_SEQUENCE_MAX];
  kortex_terminal_restoring(&o->terminal, modes);

  if (kind == REPLAY_AFTER_LAG) {
    /* whatever was cut off, and whatever it had set */
    emit_text(r, "\030\033\\\033[!p\033(B\033[0m");
    if (!kortex_terminal_is_alternate(&o->terminal)) emit_text(r, "\033[?1049l\033[2J\033[H");
  }
  /* what is incomplete now is completed by live output, so both come from there */
  *live_from = o->rest >= output_oldest(o) ? o->rest : o->end;
  if (kortex_terminal_is_alternate(&o->terminal)) {
    /* old bytes would draw on a screen of another size: the program is asked to redraw instead */
    emit_text(r, modes);
    emit_text(r, "\033[2J\033[H");
  } else {
    emit_text(r, modes);
    for (uint64_t at = replay_start(o); at < *live_from;) {
      size_t size;
      const unsigned char *part = output_at(o, at, &size);
      if (size > *live_from - at) size = (size_t)(*live_from - at);
      for (size_t i = 0; i < size; ++i) replay_byte(r, part[i]);
      at += size;
    }
  }
  const bool done = !r->failed && frame_append(out, KORTEX_SESSION_STDOUT, r->text.data, r->text.size);
  buffer_free(&r->text);
  free(r);
  return done;
}
