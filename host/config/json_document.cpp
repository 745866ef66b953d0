#include "config/json_document.hpp"

#include <boost/json/parse.hpp>
#include <boost/json/parser.hpp>
#include <cstring>
#include <set>

#include "system/suggestions.hpp"

namespace kortex::host {

namespace json = boost::json;

namespace {

constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";

/// Boost.JSON knows no positions of values, so they are looked for in the text again, but only once there is
/// something to complain about. The text is known to be valid.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : m_text(text) {
    if (m_text.substr(0, 3) == byte_order_mark) m_at = 3;
    space();
  }

  [[nodiscard]] std::size_t at() const { return m_at; }
  [[nodiscard]] char peek() const { return m_at < m_text.size() ? m_text[m_at] : '\0'; }

  /// From the start of an object to the value of `key`; returns where the key is, or nothing.
  std::optional<std::size_t> enter_member(std::string_view key) {
    if (peek() != '{') return std::nullopt;
    advance();
    while (peek() == '"') {
      const std::size_t start = m_at;
      const bool found = this->key() == key;
      if (found) return start;
      skip_value();
      if (peek() == ',') advance();
    }
    return std::nullopt;
  }

  bool enter_element(std::size_t index) {
    if (peek() != '[') return false;
    advance();
    for (std::size_t i = 0; i < index; ++i) {
      skip_value();
      if (peek() != ',') return false;
      advance();
    }
    return peek() != ']';
  }

  /// Walks the value; returns where an object has a key for the second time.
  std::optional<std::size_t> duplicate_key(std::string& name) {
    if (peek() == '[') {
      advance();
      while (peek() != ']') {
        if (auto found = duplicate_key(name)) return found;
        if (peek() == ',') advance();
      }
      advance();
      return std::nullopt;
    }
    if (peek() != '{') {
      skip_value();
      return std::nullopt;
    }
    advance();
    std::set<std::string> keys;
    while (peek() == '"') {
      const std::size_t start = m_at;
      std::string key = this->key();
      if (!keys.insert(key).second) {
        name = std::move(key);
        return start;
      }
      if (auto found = duplicate_key(name)) return found;
      if (peek() == ',') advance();
    }
    advance();
    return std::nullopt;
  }

 private:
  void space() {
    while (m_at < m_text.size() && std::strchr(" \t\r\n", m_text[m_at]) != nullptr && m_text[m_at] != '\0') ++m_at;
  }
  void advance() {
    ++m_at;
    space();
  }
  std::string_view quoted() {
    const std::size_t start = m_at++;
    while (m_at < m_text.size() && m_text[m_at] != '"') m_at += m_text[m_at] == '\\' ? 2 : 1;
    ++m_at;
    const std::string_view token = m_text.substr(start, m_at - start);
    space();
    return token;
  }
  std::string key() {
    const std::string_view token = quoted();
    advance();  // the colon
    if (token.find('\\') == std::string_view::npos) return std::string(token.substr(1, token.size() - 2));
    const json::value decoded = json::parse(json::string_view(token.data(), token.size()));
    return std::string(decoded.get_string().data(), decoded.get_string().size());
  }
  void skip_value() {
    int depth = 0;
    do {
      const char c = peek();
      if (c == '"') {
        quoted();
        continue;
      }
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (std::strchr("{}[],:", c) != nullptr) {
        advance();
        continue;
      }
      while (m_at < m_text.size() && std::strchr("{}[],: \t\r\n", m_text[m_at]) == nullptr) ++m_at;
      space();
    } while (depth > 0 && m_at < m_text.size());
  }

  std::string_view m_text;
  std::size_t m_at = 0;
};

/// "<file>:<line>:<column>"
std::string position(std::string_view text, const std::string& file, std::size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  std::size_t line = 1;
  std::size_t start = before.substr(0, 3) == byte_order_mark ? 3 : 0;
  for (std::size_t i = 0; i < before.size(); ++i)
    if (before[i] == '\n') {
      ++line;
      start = i + 1;
    }
  std::size_t column = 1;  // in characters, as editors count
  for (std::size_t i = start; i < before.size(); ++i)
    if ((static_cast<unsigned char>(before[i]) & 0xC0) != 0x80) ++column;
  return file + ":" + std::to_string(line) + ":" + std::to_string(column);
}

std::string syntax_reason(const json::error_code& error, std::string_view text, std::size_t offset) {
  if (error == json::error::incomplete || offset >= text.size()) return "the text ends too early";
  if (error == json::error::extra_data) return "more text after the end of the document";
  if (error == json::error::too_deep) return "nested too deeply";
  if (error == json::error::expected_hex_digit || error == json::error::illegal_leading_surrogate ||
      error == json::error::illegal_trailing_surrogate || error == json::error::expected_utf16_escape)
    return "a broken \\u escape";
  const auto c = static_cast<unsigned char>(text[offset]);
  if (c == '\n' || c == '\r') return "unexpected end of the line";
  if (c < 0x20 || c == 0x7f) return "an unexpected control character";
  if (c >= 0x80) return "unexpected text (strings are UTF-8 in double quotes)";
  return std::string("unexpected '") + static_cast<char>(c) + "'";
}

}  // namespace

JsonDocument::JsonDocument(std::string_view text, std::string file, ErrorKind kind, DuplicateKeys duplicates)
    : m_text(text), m_file(std::move(file)), m_kind(kind), m_memory(m_buffer, sizeof m_buffer) {
  if (m_text.size() > max_size) throw Error(m_kind, m_file + ": larger than 1 MiB");
  const std::size_t skipped = m_text.substr(0, 3) == byte_order_mark ? 3 : 0;
  json::parse_options options;
  options.max_depth = max_depth;
  unsigned char scratch[8 * 1024];
  json::parser parser(json::storage_ptr(), options, scratch, sizeof scratch);
  parser.reset(&m_memory);
  json::error_code error;
  const std::size_t used = skipped + parser.write_some(m_text.data() + skipped, m_text.size() - skipped, error);
  if (!error && used < m_text.size()) error = json::error::extra_data;
  if (error) fail_at(used, syntax_reason(error, m_text, used), {});
  m_root = parser.release();
  if (duplicates == DuplicateKeys::refuse) {
    std::string name;
    Scanner scanner(m_text);
    if (auto offset = scanner.duplicate_key(name)) fail_at(*offset, "duplicate key '" + name + "'", {});
  }
}

std::string place_in_json(std::string_view text, const std::string& file, const std::vector<JsonStep>& way, JsonPlace place) {
  Scanner scanner(text);
  std::size_t offset = scanner.at();
  for (const JsonStep& step : way) {
    if (step.index) {
      if (!scanner.enter_element(*step.index)) break;
    } else {
      const std::optional<std::size_t> key = scanner.enter_member(step.key);
      if (!key) break;
      if (place == JsonPlace::key && &step == &way.back()) return position(text, file, *key);
    }
    offset = scanner.at();
  }
  return position(text, file, offset);
}

JsonReader JsonDocument::root() const { return JsonReader(this, &m_root, nullptr, {}, 0); }

void JsonDocument::fail_at(std::size_t offset, const std::string& reason, const std::string& hint) const {
  throw Error(m_kind, position(m_text, m_file, offset) + ": " + reason, hint);
}

void JsonReader::fail(Where where, std::string_view member, const std::string& reason, const std::string& hint) const {
  std::vector<const JsonReader*> way;
  for (const JsonReader* reader = this; reader->m_parent != nullptr; reader = reader->m_parent) way.push_back(reader);
  Scanner scanner(m_document->m_text);
  for (auto step = way.rbegin(); step != way.rend(); ++step) {
    if ((*step)->m_parent->m_value->is_object())
      (void)scanner.enter_member((*step)->m_key);
    else
      (void)scanner.enter_element((*step)->m_index);
  }
  std::size_t offset = scanner.at();
  if (where == Where::key) offset = scanner.enter_member(member).value_or(offset);
  m_document->fail_at(offset, reason, hint);
}

void JsonReader::fail(const std::string& reason, const std::string& hint) const { fail(Where::value, {}, reason, hint); }

void JsonReader::known(const std::vector<std::string>& names) const {
  for (const auto& member : object()) {
    const std::string key(member.key().data(), member.key().size());
    bool found = false;
    for (const auto& name : names) found = found || name == key;
    if (found) continue;
    const auto close = nearest(key, names);
    std::string hint = close.empty() ? "known keys: " : "did you mean '" + close.front() + "'?";
    if (close.empty())
      for (const auto& name : names) hint += (&name == &names.front() ? "" : ", ") + name;
    fail(Where::key, key, "unknown key '" + key + "'", hint);
  }
}

std::optional<JsonReader> JsonReader::member(std::string_view key) const {
  const auto& members = object();
  const auto* found = members.if_contains(json::string_view(key.data(), key.size()));
  if (found == nullptr) return std::nullopt;
  return JsonReader(m_document, found, this, key, 0);
}

JsonReader JsonReader::required(std::string_view key) const {
  if (auto found = member(key)) return *found;
  fail("'" + std::string(key) + "' is missing");
}

std::string_view JsonReader::view() const {
  if (!m_value->is_string()) fail("must be a string");
  const auto& text = m_value->get_string();
  if (std::memchr(text.data(), '\0', text.size()) != nullptr) fail("must not contain a NUL character");
  return {text.data(), text.size()};
}

std::string JsonReader::string() const { return std::string(view()); }

bool JsonReader::boolean() const {
  if (!m_value->is_bool()) fail("must be true or false");
  return m_value->get_bool();
}

std::int64_t JsonReader::integer(std::int64_t min, std::int64_t max) const {
  if (!m_value->is_int64() && !m_value->is_uint64()) fail("must be an integer");
  const bool in_range = m_value->is_int64() && m_value->get_int64() >= min && m_value->get_int64() <= max;
  if (!in_range) fail("must be between " + std::to_string(min) + " and " + std::to_string(max));
  return m_value->get_int64();
}

const json::object& JsonReader::object() const {
  if (!m_value->is_object()) fail("must be an object");
  return m_value->get_object();
}

const json::array& JsonReader::array() const {
  if (!m_value->is_array()) fail("must be an array");
  return m_value->get_array();
}

std::vector<std::string> JsonReader::strings() const {
  std::vector<std::string> result;
  result.reserve(array().size());
  each([&](const JsonReader& element) { result.push_back(element.string()); });
  return result;
}

}  // namespace kortex::host
