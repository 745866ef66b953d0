/* kortex/terminal_modes.h - follows what a program has told its terminal. C11 / C++17, no dependency.
 *
 * Not a terminal emulator: it finds the ends of escape sequences and UTF-8 characters and remembers the modes
 * that outlive a screenful, so that the session holder can set up a terminal that comes later, and the client can
 * hand the user's terminal back as it was. Feed it every byte, in order, cut anywhere.
 */
#ifndef KORTEX_TERMINAL_MODES_H
#define KORTEX_TERMINAL_MODES_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum kortex_terminal_state {
  KORTEX_TERMINAL_GROUND,
  KORTEX_TERMINAL_ESCAPE,       /* after ESC */
  KORTEX_TERMINAL_INTERMEDIATE, /* after ESC and one of " #%()*+-./" */
  KORTEX_TERMINAL_CSI,          /* after ESC [ */
  KORTEX_TERMINAL_STRING,       /* OSC, DCS, APC, PM, SOS: until BEL or ESC \ */
  KORTEX_TERMINAL_STRING_ESCAPE
};

/* DEC private modes worth following; bit n of `modes` is entry n. */
static const uint16_t kortex_terminal_followed[] = {1,    7,    25,   47,   1047, 1049, 9,    1000, 1001,
                                                   1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 66};
enum {
  KORTEX_TERMINAL_FOLLOWED = sizeof kortex_terminal_followed / sizeof kortex_terminal_followed[0],
  KORTEX_TERMINAL_ALTERNATE = 1 << 3 | 1 << 4 | 1 << 5,
  KORTEX_TERMINAL_DEFAULT = 1 << 1 | 1 << 2 /* wrap around, show the cursor */
};

enum { KORTEX_TERMINAL_PARAMETERS = 16, KORTEX_TERMINAL_SEQUENCE_MAX = 768 };

typedef struct kortex_terminal {
  uint8_t state;         /* enum kortex_terminal_state */
  uint8_t utf8_left;     /* continuation bytes that the present character still needs */
  uint8_t private_mark;  /* of the present sequence: one of "<=>?" or 0 */
  uint8_t intermediate;
  uint8_t string_kind;   /* ']' 'P' '_' '^' 'X' */
  uint8_t parameter_count;
  uint8_t application_keypad, scroll_region, charset, attributes, cursor_style;
  uint8_t keyboard_depth; /* of the kitty protocol's stack */
  uint16_t keyboard_flags, modify_other_keys;
  uint32_t modes;        /* which followed modes are set */
  uint16_t parameters[KORTEX_TERMINAL_PARAMETERS];
} kortex_terminal;

static inline void kortex_terminal_init(kortex_terminal *t) {
  memset(t, 0, sizeof *t);
  t->modes = KORTEX_TERMINAL_DEFAULT;
}

/* Between two characters, where output may be cut. */
static inline int kortex_terminal_is_at_rest(const kortex_terminal *t) {
  return t->state == KORTEX_TERMINAL_GROUND && t->utf8_left == 0;
}

static inline int kortex_terminal_is_alternate(const kortex_terminal *t) {
  return (t->modes & KORTEX_TERMINAL_ALTERNATE) != 0;
}

static inline void kortex_terminal_set_private_modes_(kortex_terminal *t, int on) {
  unsigned p, m;
  for (p = 0; p < t->parameter_count; ++p)
    for (m = 0; m < KORTEX_TERMINAL_FOLLOWED; ++m)
      if (kortex_terminal_followed[m] == t->parameters[p]) {
        if (on)
          t->modes |= 1u << m;
        else
          t->modes &= ~(1u << m);
        /* any of the three names leaves the one alternate screen */
        if (!on && (1u << m & KORTEX_TERMINAL_ALTERNATE)) t->modes &= ~(uint32_t)KORTEX_TERMINAL_ALTERNATE;
      }
}

static inline void kortex_terminal_end_csi_(kortex_terminal *t, uint8_t final) {
  const uint16_t first = t->parameter_count ? t->parameters[0] : 0;
  if (t->private_mark == '?' && !t->intermediate && (final == 'h' || final == 'l')) {
    kortex_terminal_set_private_modes_(t, final == 'h');
  } else if (final == 'u' && t->private_mark == '>') {
    if (t->keyboard_depth < 32) ++t->keyboard_depth;
    t->keyboard_flags = first;
  } else if (final == 'u' && t->private_mark == '<') {
    const uint16_t count = first ? first : 1;
    t->keyboard_depth = (uint8_t)(count >= t->keyboard_depth ? 0 : t->keyboard_depth - count);
    if (!t->keyboard_depth) t->keyboard_flags = 0;
  } else if (final == 'u' && t->private_mark == '=') {
    t->keyboard_flags = first;
  } else if (final == 'm' && t->private_mark == '>') {
    if (first == 4) t->modify_other_keys = t->parameter_count > 1 ? t->parameters[1] : 0;
  } else if (t->private_mark) {
    return;
  } else if (final == 'm') {
    t->attributes = !(t->parameter_count == 0 || (t->parameter_count == 1 && first == 0));
  } else if (final == 'r' && !t->intermediate) {
    t->scroll_region = t->parameter_count > 0;
  } else if (final == 'q' && t->intermediate == ' ') {
    t->cursor_style = (uint8_t)(first > 6 ? 0 : first);
  } else if (final == 'p' && t->intermediate == '!') { /* soft reset */
    t->modes = (t->modes & KORTEX_TERMINAL_ALTERNATE) | KORTEX_TERMINAL_DEFAULT;
    t->application_keypad = t->scroll_region = t->charset = t->attributes = 0;
  }
}

static inline void kortex_terminal_begin_(kortex_terminal *t, enum kortex_terminal_state state) {
  t->state = (uint8_t)state;
  t->utf8_left = t->private_mark = t->intermediate = t->parameter_count = 0;
}

static inline void kortex_terminal_csi_(kortex_terminal *t, uint8_t c) {
  if (c >= '0' && c <= '9') {
    uint16_t *value;
    if (t->parameter_count == 0) t->parameters[t->parameter_count++] = 0;
    value = &t->parameters[t->parameter_count - 1];
    *value = (uint16_t)(*value > 6000 ? 65535 : *value * 10 + (c - '0'));
  } else if (c == ';' || c == ':') {
    if (t->parameter_count == 0) t->parameters[t->parameter_count++] = 0;
    if (t->parameter_count < KORTEX_TERMINAL_PARAMETERS) t->parameters[t->parameter_count++] = 0;
  } else if (c >= '<' && c <= '?') {
    t->private_mark = c;
  } else if (c >= 0x20 && c <= 0x2f) {
    t->intermediate = c;
  } else if (c >= 0x40 && c <= 0x7e) {
    kortex_terminal_end_csi_(t, c);
    t->state = KORTEX_TERMINAL_GROUND;
  }
}

static inline void kortex_terminal_escape_(kortex_terminal *t, uint8_t c) {
  t->state = KORTEX_TERMINAL_GROUND;
  switch (c) {
    case '[': kortex_terminal_begin_(t, KORTEX_TERMINAL_CSI); break;
    case ']': case 'P': case '_': case '^': case 'X':
      kortex_terminal_begin_(t, KORTEX_TERMINAL_STRING);
      t->string_kind = c;
      break;
    case '=': t->application_keypad = 1; break;
    case '>': t->application_keypad = 0; break;
    case 'c': kortex_terminal_init(t); break;
    default:
      if (c >= 0x20 && c <= 0x2f) {
        t->state = KORTEX_TERMINAL_INTERMEDIATE;
        t->intermediate = c;
      }
  }
}

static inline void kortex_terminal_byte(kortex_terminal *t, uint8_t c) {
  switch (t->state) {
    case KORTEX_TERMINAL_STRING:
      if (c == 0x07 || c == 0x18 || c == 0x1a) t->state = KORTEX_TERMINAL_GROUND;
      if (c == 0x1b) t->state = KORTEX_TERMINAL_STRING_ESCAPE;
      return;
    case KORTEX_TERMINAL_STRING_ESCAPE:
      if (c == '\\') {
        t->state = KORTEX_TERMINAL_GROUND;
        return;
      }
      kortex_terminal_begin_(t, KORTEX_TERMINAL_ESCAPE); /* the string was cut short by another sequence */
      break;
    default: break;
  }
  if (c == 0x1b) {
    kortex_terminal_begin_(t, KORTEX_TERMINAL_ESCAPE);
    return;
  }
  if (c == 0x18 || c == 0x1a) {
    kortex_terminal_begin_(t, KORTEX_TERMINAL_GROUND);
    return;
  }
  if (c < 0x20 && t->state != KORTEX_TERMINAL_GROUND) return; /* a terminal obeys controls within sequences */
  switch (t->state) {
    case KORTEX_TERMINAL_CSI: kortex_terminal_csi_(t, c); return;
    case KORTEX_TERMINAL_ESCAPE: kortex_terminal_escape_(t, c); return;
    case KORTEX_TERMINAL_INTERMEDIATE:
      if (t->intermediate == '(') t->charset = c != 'B';
      t->state = KORTEX_TERMINAL_GROUND;
      return;
    default: break;
  }
  if (c < 0x80 || c >= 0xf8)
    t->utf8_left = 0;
  else if (c >= 0xf0)
    t->utf8_left = 3;
  else if (c >= 0xe0)
    t->utf8_left = 2;
  else if (c >= 0xc0)
    t->utf8_left = 1;
  else if (t->utf8_left)
    --t->utf8_left;
}

static inline size_t kortex_terminal_put_(char *out, size_t at, size_t size, const char *text) {
  const size_t length = strlen(text);
  if (at + length >= size) return at;
  memcpy(out + at, text, length + 1);
  return at + length;
}

static inline size_t kortex_terminal_put_number_(char *out, size_t at, size_t size, const char *before, unsigned n,
                                                 const char *after) {
  char text[32];
  snprintf(text, sizeof text, "%s%u%s", before, n, after);
  return kortex_terminal_put_(out, at, size, text);
}

/* What brings a terminal with default modes to the followed ones. Returns its length. */
static inline size_t kortex_terminal_restoring(const kortex_terminal *t, char out[KORTEX_TERMINAL_SEQUENCE_MAX]) {
  const size_t size = KORTEX_TERMINAL_SEQUENCE_MAX;
  size_t at = 0;
  unsigned m;
  out[0] = 0;
  at = kortex_terminal_put_(out, at, size, "\033[0m");
  for (m = 0; m < KORTEX_TERMINAL_FOLLOWED; ++m)
    if ((t->modes ^ KORTEX_TERMINAL_DEFAULT) & 1u << m)
      at = kortex_terminal_put_number_(out, at, size, "\033[?", kortex_terminal_followed[m],
                                       t->modes & 1u << m ? "h" : "l");
  if (t->application_keypad) at = kortex_terminal_put_(out, at, size, "\033=");
  if (t->keyboard_depth) at = kortex_terminal_put_number_(out, at, size, "\033[>", t->keyboard_flags, "u");
  if (t->modify_other_keys) at = kortex_terminal_put_number_(out, at, size, "\033[>4;", t->modify_other_keys, "m");
  if (t->cursor_style) at = kortex_terminal_put_number_(out, at, size, "\033[", t->cursor_style, " q");
  return at;
}

/* What brings a terminal with the followed modes back to the default ones; nothing for what was not changed. */
static inline size_t kortex_terminal_resetting(const kortex_terminal *t, char out[KORTEX_TERMINAL_SEQUENCE_MAX]) {
  const size_t size = KORTEX_TERMINAL_SEQUENCE_MAX;
  size_t at = 0;
  unsigned m;
  out[0] = 0;
  if (t->state == KORTEX_TERMINAL_STRING || t->state == KORTEX_TERMINAL_STRING_ESCAPE)
    at = kortex_terminal_put_(out, at, size, "\033\\");
  else if (t->state != KORTEX_TERMINAL_GROUND)
    at = kortex_terminal_put_(out, at, size, "\030");
  if (t->keyboard_depth) at = kortex_terminal_put_number_(out, at, size, "\033[<", t->keyboard_depth, "u");
  else if (t->keyboard_flags) at = kortex_terminal_put_(out, at, size, "\033[=0u");
  if (t->modify_other_keys) at = kortex_terminal_put_(out, at, size, "\033[>4m");
  if (t->scroll_region) at = kortex_terminal_put_(out, at, size, "\0337\033[r\0338");
  for (m = KORTEX_TERMINAL_FOLLOWED; m-- > 0;)
    if ((t->modes ^ KORTEX_TERMINAL_DEFAULT) & 1u << m)
      at = kortex_terminal_put_number_(out, at, size, "\033[?", kortex_terminal_followed[m],
                                       t->modes & 1u << m ? "l" : "h");
  if (t->application_keypad) at = kortex_terminal_put_(out, at, size, "\033>");
  if (t->charset) at = kortex_terminal_put_(out, at, size, "\033(B");
  if (t->cursor_style) at = kortex_terminal_put_(out, at, size, "\033[0 q");
  if (t->attributes) at = kortex_terminal_put_(out, at, size, "\033[0m");
  return at;
}

#ifdef __cplusplus
}
#endif
#endif
