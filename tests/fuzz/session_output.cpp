// What an agent writes to its terminal, and what a viewer that comes later is shown of it.
extern "C" {
#include "output.h"
}
#include <kortex/session_protocol.h>

#include <cstring>

#include "invariant.hpp"

using kortex::fuzz::require;

namespace {

void feed(kortex_terminal& terminal, std::string_view bytes) {
  for (const char c : bytes) kortex_terminal_byte(&terminal, static_cast<std::uint8_t>(c));
}

/// The text of the frames.
std::string text_in(const buffer& frames) {
  std::string out;
  const unsigned char* at = frames.size == 0 ? nullptr : buffer_front(&frames);
  for (std::size_t left = frames.size; left > 0;) {
    require(left >= KORTEX_SESSION_HEADER, "a frame has a header");
    const std::size_t length = at[4] | std::size_t{at[5]} << 8 | std::size_t{at[6]} << 16;
    require(at[0] == KORTEX_SESSION_STDOUT && length <= left - KORTEX_SESSION_HEADER, "a replay is whole frames");
    out.append(reinterpret_cast<const char*>(at) + KORTEX_SESSION_HEADER, length);
    at += KORTEX_SESSION_HEADER + length;
    left -= KORTEX_SESSION_HEADER + length;
  }
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static output out;
  static const bool ready = output_init(&out);
  require(ready, "there is memory");
  unsigned char* const ring = out.ring;
  std::memset(&out, 0, sizeof out);
  out.ring = ring;
  kortex_terminal_init(&out.terminal);
  output_append(&out, data, size);

  char sequence[KORTEX_TERMINAL_SEQUENCE_MAX];
  kortex_terminal reset = out.terminal;
  const std::size_t length = kortex_terminal_resetting(&out.terminal, sequence);
  require(length < sizeof sequence, "what resets a terminal has its bound");
  reset.state = KORTEX_TERMINAL_GROUND;
  reset.utf8_left = 0;
  feed(reset, {sequence, length});
  require(reset.modes == KORTEX_TERMINAL_DEFAULT, "a terminal is handed back with its usual modes");

  for (const enum replay kind : {REPLAY_RECENT, REPLAY_AFTER_LAG}) {
    buffer frames{};
    std::uint64_t from = 0;
    require(output_replay(&out, kind, &frames, &from), "there is memory");
    require(from <= out.end, "live output goes on where there is some");
    const std::string shown = text_in(frames);
    buffer_free(&frames);
    kortex_terminal viewer;
    kortex_terminal_init(&viewer);
    feed(viewer, shown);
    require(viewer.state == KORTEX_TERMINAL_GROUND, "a replay ends outside sequences");
    require(shown.find('\x05') == std::string::npos, "a replay asks nothing");
  }
  return 0;
}
