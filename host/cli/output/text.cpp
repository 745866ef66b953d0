#include "cli/output/text.hpp"

#include <algorithm>
#include <iterator>

namespace kortex::host {
namespace {

constexpr char32_t invalid = 0xFFFFFFFF;

/// The character at `text[at]`; moves `at` behind it, by one byte when it is broken.
char32_t next_character(std::string_view text, std::size_t& at) {
  const auto byte = [&](std::size_t index) { return static_cast<unsigned char>(text[index]); };
  const unsigned char first = byte(at++);
  if (first < 0x80) return first;
  const int more = first >= 0xF0 && first <= 0xF4 ? 3 : first >= 0xE0 && first < 0xF0 ? 2 : first >= 0xC2 && first < 0xE0 ? 1 : 0;
  if (more == 0 || at + static_cast<std::size_t>(more) > text.size()) return invalid;
  char32_t value = first & (0x3Fu >> more);
  for (int i = 0; i < more; ++i) {
    const unsigned char next = byte(at + static_cast<std::size_t>(i));
    if ((next & 0xC0) != 0x80) return invalid;
    value = (value << 6) | (next & 0x3Fu);
  }
  constexpr char32_t least[] = {0, 0x80, 0x800, 0x10000};
  if (value < least[more] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000)) return invalid;
  at += static_cast<std::size_t>(more);
  return value;
}

bool is_control(char32_t c) {
  return c < 0x20 || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || (c >= 0x202A && c <= 0x202E) ||
         (c >= 0x2066 && c <= 0x2069);
}

struct Range {
  char32_t first, last;
};
constexpr Range zero_width[] = {{0x0300, 0x036F}, {0x0483, 0x0489}, {0x0591, 0x05BD}, {0x0610, 0x061A}, {0x064B, 0x065F},
                                {0x0E31, 0x0E31}, {0x0E34, 0x0E3A}, {0x0E47, 0x0E4E}, {0x1AB0, 0x1AFF}, {0x1DC0, 0x1DFF},
                                {0x200B, 0x200F}, {0x20D0, 0x20FF}, {0xFE00, 0xFE0F}, {0xFE20, 0xFE2F}, {0xFEFF, 0xFEFF},
                                {0xE0100, 0xE01EF}};
constexpr Range double_width[] = {{0x1100, 0x115F}, {0x231A, 0x231B}, {0x23E9, 0x23EC}, {0x2614, 0x2615}, {0x2648, 0x2653},
                                  {0x26A1, 0x26A1}, {0x26BD, 0x26BE}, {0x2705, 0x2705}, {0x2728, 0x2728}, {0x274C, 0x274C},
                                  {0x2E80, 0x303E}, {0x3041, 0x33FF}, {0x3400, 0x4DBF}, {0x4E00, 0x9FFF}, {0xA000, 0xA4CF},
                                  {0xA960, 0xA97F}, {0xAC00, 0xD7A3}, {0xF900, 0xFAFF}, {0xFE30, 0xFE6F}, {0xFF00, 0xFF60},
                                  {0xFFE0, 0xFFE6}, {0x1F300, 0x1F64F}, {0x1F680, 0x1F6FF}, {0x1F900, 0x1FAFF},
                                  {0x20000, 0x3FFFD}};

template <std::size_t count>
bool within(const Range (&ranges)[count], char32_t c) {
  const Range* range = std::lower_bound(std::begin(ranges), std::end(ranges), c,
                                        [](const Range& each, char32_t value) { return each.last < value; });
  return range != std::end(ranges) && c >= range->first;
}

std::string cleaned(std::string_view text, bool keep_controls) {
  std::string result;
  result.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_character(text, at);
    if (c == invalid)
      result += "\xEF\xBF\xBD";
    else if (!keep_controls && is_control(c))
      result += '?';
    else
      result += text.substr(begin, at - begin);
  }
  return result;
}

std::string ago(std::int64_t count, const char* unit) {
  return std::to_string(count) + ' ' + unit + (count == 1 ? " ago" : "s ago");
}

}  // namespace

std::string valid_utf8(std::string_view text) { return cleaned(text, true); }
std::string printable(std::string_view text) { return cleaned(text, false); }
std::string in_quotes(std::string_view text) { return '\'' + printable(text) + '\''; }

std::string shell_word(std::string_view text) {
  constexpr std::string_view safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=,+@%";
  if (!text.empty() && text.find_first_not_of(safe) == std::string_view::npos) return std::string(text);
  std::string result = "'";
  for (char c : text) {
    if (c == '\'')
      result += "'\\''";
    else
      result += c;
  }
  return printable(result + '\'');
}

std::size_t display_width(std::string_view text) {
  std::size_t width = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (c < 0x300)
      ++width;
    else if (c == invalid || !within(zero_width, c))
      width += c != invalid && within(double_width, c) ? 2 : 1;
  }
  return width;
}

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) break;
    text.remove_prefix(end + 1);
  }
  return lines;
}

std::string wrapped(std::string_view text, std::size_t indent, std::size_t width) {
  const std::string margin(indent, ' ');
  std::string result, line;
  const auto flush = [&] {
    if (!line.empty()) result += margin + line + '\n';
    line.clear();
  };
  for (const std::string& each : lines_of(text)) {
    if (each.empty() || each.front() == ' ') {
      flush();
      result += each.empty() ? "\n" : margin + each + '\n';
      continue;
    }
    std::string_view rest = each;
    while (!rest.empty()) {
      const std::size_t end = rest.find(' ');
      const std::string_view word = rest.substr(0, end);
      if (!line.empty() && indent + display_width(line) + 1 + display_width(word) > width) flush();
      if (!word.empty()) {
        if (!line.empty()) line += ' ';
        line += word;
      }
      if (end == std::string_view::npos) break;
      rest.remove_prefix(end + 1);
    }
  }
  flush();
  return result;
}

std::string time_ago(std::int64_t then_ms, std::int64_t now_ms) {
  if (then_ms <= 0) return "never";
  const std::int64_t seconds = (now_ms - then_ms) / 1000;
  if (seconds < 1) return "now";
  if (seconds < 60) return ago(seconds, "second");
  if (seconds < 3600) return ago(seconds / 60, "minute");
  if (seconds < 86400) return ago(seconds / 3600, "hour");
  if (seconds < 14 * 86400) return ago(seconds / 86400, "day");
  if (seconds < 60 * 86400) return ago(seconds / (7 * 86400), "week");
  if (seconds < 730 * 86400LL) return ago(seconds / (30 * 86400), "month");
  return ago(seconds / (365 * 86400LL), "year");
}

std::string elapsed_text(std::int64_t ms) {
  if (ms < 60'000) return std::to_string(ms / 1000) + '.' + std::to_string(ms % 1000 / 100) + 's';
  return std::to_string(ms / 60'000) + "m " + std::to_string(ms % 60'000 / 1000) + 's';
}

std::string size_text(std::int64_t bytes) {
  constexpr const char* units[] = {" B", " KiB", " MiB", " GiB", " TiB"};
  std::int64_t tenths = bytes * 10;
  std::size_t unit = 0;
  while (tenths >= 10240 && unit + 1 < std::size(units)) {
    tenths /= 1024;
    ++unit;
  }
  std::string text = std::to_string(tenths / 10);
  if (unit != 0 && tenths % 10 != 0) text += '.' + std::to_string(tenths % 10);
  return text + units[unit];
}

}  // namespace kortex::host
