// What a client sends to the session holder, cut anywhere. The first byte says how.
extern "C" {
#include "frame.h"
}

#include <algorithm>
#include <cstring>
#include <vector>

#include "invariant.hpp"

using kortex::fuzz::require;

namespace {

struct Message {
  int type;
  std::string payload;
  bool operator==(const Message& other) const { return type == other.type && payload == other.payload; }
};

void read_program(const frame& f) {
  program_request request;
  if (!program_request_read(&f, &request)) return;
  std::size_t bytes = 0;
  int count = 0;
  for (char** text = request.argv; *text != nullptr; ++text, ++count) bytes += std::strlen(*text) + 1;
  require(count > 0 && request.argv[0][0] != '\0', "a request names a program");
  for (char** text = request.env; *text != nullptr; ++text) bytes += std::strlen(*text) + 1;
  bytes += std::strlen(request.directory) + 1;
  require(bytes <= f.length, "the strings of a request are in its payload");
  program_request_free(&request);
}

/// The type -1 at the end: garbage.
std::vector<Message> messages(const std::uint8_t* data, std::size_t size, std::size_t step) {
  std::vector<Message> out;
  frame_reader reader{};
  bool garbage = false;
  for (std::size_t at = 0; at < size && !garbage; at += step) {
    require(frame_feed(&reader, data + at, std::min(step, size - at)), "there is memory");
    frame f{};
    enum frame_result result = FRAME_NONE;
    while ((result = frame_next(&reader, &f)) == FRAME_READY) {
      require(f.length <= KORTEX_SESSION_MESSAGE_MAX, "a message is bounded");
      out.push_back({f.type, f.length == 0 ? std::string() : std::string(reinterpret_cast<const char*>(f.payload), f.length)});
      if (f.type == KORTEX_SESSION_START || f.type == KORTEX_SESSION_RUN) read_program(f);
      frame_fields fields = fields_of(&f);
      (void)field_u16(&fields);
      (void)field_u32(&fields);
      (void)field_string(&fields);
    }
    garbage = result == FRAME_GARBAGE;
  }
  if (garbage) out.push_back({-1, {}});
  frame_reader_free(&reader);
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::size_t step = data[0] % 32 + std::size_t{1};
  require(messages(data + 1, size - 1, size) == messages(data + 1, size - 1, step), "how a stream is cut changes nothing");
  return 0;
}
