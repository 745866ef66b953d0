#include "runtimes/text.hpp"

#include <algorithm>
#include <boost/json.hpp>

namespace kortex::host {
namespace {

constexpr std::size_t max_json_depth = 32;

/// Bytes of the valid character at the start of `text`; 0: none. Overlong forms and surrogates are invalid.
std::size_t character_size(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t size = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || text.size() < size) return 0;
  for (std::size_t i = 1; i < size; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if (lead == 0xe0 && byte(1) < 0xa0) return 0;
  if (lead == 0xed && byte(1) > 0x9f) return 0;
  if (lead == 0xf0 && byte(1) < 0x90) return 0;
  if (lead == 0xf4 && byte(1) > 0x8f) return 0;
  return size;
}

bool is_control(std::string_view character) {
  const unsigned char lead = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return lead < 0x20 || lead == 0x7f;
  return character.size() == 2 && lead == 0xc2 && static_cast<unsigned char>(character[1]) < 0xa0;
}

std::string clean(std::string_view text, std::size_t limit, bool keep_lines) {
  std::string out;
  out.reserve(text.size() < limit ? text.size() : limit);
  while (!text.empty()) {
    // Nearly all text is plain: taken at one go.
    std::size_t plain = 0;
    while (plain < text.size() && text[plain] >= 0x20 && text[plain] < 0x7f) ++plain;
    plain = std::min(plain, limit - out.size());
    if (plain > 0) {
      out += text.substr(0, plain);
      text.remove_prefix(plain);
      continue;
    }
    // Lines end as they do on terminals and in old files, and progress is overwritten at its end.
    if (keep_lines && text.front() == '\r') {
      const std::size_t next = text.find_first_not_of('\r');
      if (next == std::string_view::npos || text[next] == '\n') {
        text.remove_prefix(std::min(next, text.size()));
        continue;
      }
    }
    const std::size_t size = character_size(text);
    std::string_view piece = size == 0 ? std::string_view("?") : text.substr(0, size);
    if (is_control(piece) && !(keep_lines && (piece == "\n" || piece == "\t"))) piece = "?";
    if (out.size() + piece.size() > limit) break;
    out += piece;
    text.remove_prefix(size == 0 ? 1 : size);
  }
  return out;
}

}  // namespace

std::string clean_line(std::string_view text, std::size_t limit) { return clean(text, limit, false); }

std::string clean_text(std::string_view text, std::size_t limit) {
  if (text.size() > limit) {
    text.remove_prefix(text.size() - limit);
    while (!text.empty() && (static_cast<unsigned char>(text[0]) & 0xc0) == 0x80) text.remove_prefix(1);
  }
  return clean(text, limit, true);
}

bool is_json_object(std::string_view text, std::size_t limit) {
  if (text.size() > limit) return false;
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = max_json_depth;
  unsigned char buffer[4096];
  boost::json::monotonic_resource memory(buffer);
  const boost::json::value value = boost::json::parse({text.data(), text.size()}, error, &memory, options);
  return !error && value.is_object();
}

}  // namespace kortex::host
