#include "instances/names.hpp"

#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "instances/store.hpp"

namespace kortex::host {

namespace {

constexpr std::size_t longest_name = 128;

bool is_control(std::string_view text, std::size_t i) {
  const auto c = static_cast<unsigned char>(text[i]);
  if (c < 0x20 || c == 0x7f) return true;
  // C1 controls, which some terminals obey, and the directional overrides, which make a name read as another.
  const auto at = [&](std::size_t n) { return i + n < text.size() ? static_cast<unsigned char>(text[i + n]) : 0; };
  if (c == 0xC2 && at(1) < 0xA0) return true;
  if (c == 0xE2 && at(1) == 0x80 && ((at(2) >= 0xAA && at(2) <= 0xAE) || at(2) == 0xA8 || at(2) == 0xA9)) return true;
  return c == 0xE2 && at(1) == 0x81 && at(2) >= 0xA6 && at(2) <= 0xA9;
}

std::string shorten(std::string text, std::size_t size) {
  if (text.size() > size) {
    while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
    text.resize(size);
  }
  while (!text.empty() && text.back() == ' ') text.pop_back();
  return text;
}

}  // namespace

bool is_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c < 0x80) {
      ++i;
      continue;
    }
    const std::size_t more = c >= 0xC2 && c <= 0xDF ? 1 : (c & 0xF0) == 0xE0 ? 2 : c >= 0xF0 && c <= 0xF4 ? 3 : 0;
    if (more == 0 || i + more >= text.size()) return false;
    const auto next = static_cast<unsigned char>(text[i + 1]);
    if ((c == 0xE0 && next < 0xA0) || (c == 0xED && next > 0x9F) || (c == 0xF0 && next < 0x90) || (c == 0xF4 && next > 0x8F)) return false;
    for (std::size_t n = 1; n <= more; ++n)
      if ((static_cast<unsigned char>(text[i + n]) & 0xC0) != 0x80) return false;
    i += more + 1;
  }
  return true;
}

bool is_hexadecimal(std::string_view text) {
  // No early end, so that the compiler can look at many at a time: nearly all that are asked about are.
  bool all = true;
  for (const char c : text) all &= (c >= '0' && c <= '9') | (c >= 'a' && c <= 'f');
  return all;
}

bool is_workspace_id(std::string_view text) { return text.size() == 64 && is_hexadecimal(text); }

std::string check_name(const std::string& name) {
  if (name.empty()) return "a name must not be empty";
  if (name.size() > longest_name)
    return "a name has at most " + std::to_string(longest_name) + " bytes; this one has " + std::to_string(name.size());
  if (!is_utf8(name)) return "a name must be UTF-8";
  if (name.front() == '-' || name.front() == '.') return std::string("a name must not begin with '") + name.front() + "'";
  if (name.front() == ' ' || name.back() == ' ') return "a name must not begin or end with a space";
  for (std::size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '/') return "a name must not contain '/'";
    if (is_control(name, i)) return "a name must not contain control characters";
  }
  if (is_workspace_id(name)) return "a name must not look like a workspace's id";
  return {};
}

std::string name_from_path(const std::filesystem::path& path) {
  std::filesystem::path last = path.filename();
  if (last.empty()) last = path.parent_path().filename();
  const std::string raw = last.string();
  std::string name;
  for (std::size_t i = 0; i < raw.size();) {
    std::size_t length = 1;
    while (length < 4 && i + length < raw.size() && !is_utf8(raw.substr(i, length))) ++length;
    const std::string_view character = std::string_view(raw).substr(i, length);
    if (!is_utf8(character)) {
      name += '_';
      ++i;
      continue;
    }
    if (is_control(raw, i)) name += '_';
    else name += character;
    i += length;
  }
  const std::size_t start = name.find_first_not_of("-. ");
  name = start == std::string::npos ? "workspace" : shorten(name.substr(start), longest_name);
  return check_name(name).empty() ? name : "workspace";
}

std::string with_suffix(const std::string& base, const std::string& suffix) {
  return shorten(base, longest_name - suffix.size()) + suffix;
}

std::string key_for(const std::string& name, const std::string& id) {
  std::string slug;
  for (const char c : name) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9')) slug += lower;
    else if (!slug.empty() && slug.back() != '-') slug += '-';
    if (slug.size() == 40) break;
  }
  while (!slug.empty() && slug.back() == '-') slug.pop_back();
  if (!slug.empty()) slug += '-';
  return "kortex-" + slug + id.substr(0, 12);
}

std::string typeable(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c >= 0x80 ||
           std::string_view("-_.,:/@%+=").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string random_id() {
  unsigned char bytes[32];
  for (std::size_t have = 0; have < sizeof bytes;) {
    const ssize_t n = ::getrandom(bytes + have, sizeof bytes - have, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw std::system_error(errno, std::generic_category(), "getrandom");
    have += static_cast<std::size_t>(n);
  }
  std::string id;
  for (const unsigned char byte : bytes) {
    id += "0123456789abcdef"[byte >> 4];
    id += "0123456789abcdef"[byte & 15];
  }
  return id;
}

}  // namespace kortex::host
