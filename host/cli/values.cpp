#include "cli/values.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

#include "cli/output/text.hpp"
#include "system/error.hpp"

namespace kortex::host {
namespace {

[[noreturn]] void refuse(const std::string& what, const std::string& text, const std::string& hint) {
  throw Error(ErrorKind::usage, what + " cannot be " + in_quotes(text), hint);
}

std::string lower_case(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

std::chrono::milliseconds parse_duration(const std::string& text, const std::string& what) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  const std::string unit(rest, end);
  std::int64_t factor = 0;
  if (unit == "ms") factor = 1;
  if (unit == "s") factor = 1000;
  if (unit == "m") factor = 60'000;
  if (unit == "h") factor = 3'600'000;
  if (unit.empty() && number == 0) factor = 1;
  if (error != std::errc() || number < 0 || factor == 0 || number > std::numeric_limits<std::int32_t>::max() / factor)
    refuse(what, text, "a duration is written 250ms, 30s, 5m or 1h");
  return std::chrono::milliseconds(number * factor);
}

std::int64_t parse_count(const std::string& text, const std::string& what) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error != std::errc() || rest != end || number < 0) refuse(what, text, "a number of zero or more");
  return number;
}

bool parse_boolean(const std::string& text, const std::string& what) {
  const std::string value = lower_case(text);
  for (const char* yes : {"1", "true", "yes", "on"})
    if (value == yes) return true;
  for (const char* no : {"0", "false", "no", "off"})
    if (value == no) return false;
  refuse(what, text, "1, true, yes, on, 0, false, no or off");
}

KeyValues parse_pairs(const std::vector<std::string>& texts, const std::string& what, Bare bare) {
  KeyValues pairs;
  for (const std::string& text : texts) {
    const std::size_t equals = text.find('=');
    if (equals == 0 || text.empty() || (equals == std::string::npos && bare == Bare::refused))
      refuse(what, text, "it is written KEY=VALUE");
    if (equals == std::string::npos)
      pairs.emplace_back(text, "true");
    else
      pairs.emplace_back(text.substr(0, equals), text.substr(equals + 1));
  }
  return pairs;
}

std::string parse_detach_keys(const std::string& text, const std::string& what) {
  std::string bytes;
  for (std::size_t begin = 0; begin < text.size();) {
    std::size_t end = text.find_first_of(", ", begin);
    if (end == std::string::npos) end = text.size();
    const std::string key = text.substr(begin, end - begin);
    begin = end + 1;
    if (key.empty()) continue;
    const std::string lower = lower_case(key);
    if (key.size() == 1 && key[0] > ' ' && key[0] < 0x7F)
      bytes += key;
    else if (lower.size() == 6 && lower.starts_with("ctrl-") &&
             ((lower[5] >= 'a' && lower[5] <= 'z') || (lower[5] >= '@' && lower[5] <= '_')))
      bytes += static_cast<char>(lower[5] & 0x1F);
    else
      refuse(what, text, "keys are written ctrl-p,ctrl-q");
  }
  return bytes;
}

}  // namespace kortex::host
