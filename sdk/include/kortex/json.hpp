/// JSON text, written: for details_json, probe() and guarantees() without a JSON library. Header-only,
/// C++17, no dependency but the C++ library. It only writes; a plugin that reads JSON brings a parser.
///
///     kortex::json::Object details{{"image", "debian:12"}, {"layers", 3}};
///     details.add("ports", kortex::json::Array{8080, 9090});
///     instance.details_json = details.text();
///
/// What comes out is valid JSON in UTF-8 whatever goes in: bytes that are not UTF-8 become U+FFFD,
/// not-a-number and infinity become null. A key that is added twice appears twice.
#ifndef KORTEX_JSON_HPP
#define KORTEX_JSON_HPP

#include <charconv>
#include <cmath>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace kortex::json {

namespace detail {

/// How many bytes of `text` at `at` are one well-formed character; 0: none is. (Unicode 15, table 3-7.)
inline std::size_t utf8_length(std::string_view text, std::size_t at) {
  const auto byte = [&](std::size_t i) -> unsigned {
    return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u;
  };
  const auto tail = [&](std::size_t i) { return byte(i) >= 0x80 && byte(i) <= 0xBF; };
  const unsigned first = byte(0), second = byte(1);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return tail(1) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    if (first == 0xE0 && second < 0xA0) return 0;
    if (first == 0xED && second > 0x9F) return 0;  // surrogates
    return tail(1) && tail(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (first == 0xF0 && second < 0x90) return 0;
    if (first == 0xF4 && second > 0x8F) return 0;
    return tail(1) && tail(2) && tail(3) ? 4 : 0;
  }
  return 0;
}

}  // namespace detail

/// `text` as a JSON string, its quotes included.
[[nodiscard]] inline std::string quote(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string out = "\"";
  out.reserve(text.size() + 2);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = detail::utf8_length(text, at);
    if (length == 0) {
      out += "\xEF\xBF\xBD";
      ++at;
      continue;
    }
    const char c = text[at];
    if (length > 1) {
      out += text.substr(at, length);
    } else if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      out += "\\u00";
      out += hex[static_cast<unsigned char>(c) >> 4];
      out += hex[static_cast<unsigned char>(c) & 15];
    } else {
      out += c;
    }
    at += length;
  }
  out += '"';
  return out;
}

class Object;
class Array;

/// Anything that can stand in an object or an array, already written.
class Value {
 public:
  Value(std::nullptr_t) : m_text("null") {}
  Value(const char* text) : m_text(text == nullptr ? "null" : quote(text)) {}
  Value(std::string_view text) : m_text(quote(text)) {}
  Value(const std::string& text) : m_text(quote(text)) {}
  Value(bool value) : m_text(value ? "true" : "false") {}
  template <class Number, std::enable_if_t<std::is_arithmetic_v<Number> && !std::is_same_v<Number, bool>, int> = 0>
  Value(Number value) {
    if constexpr (std::is_floating_point_v<Number>) {
      if (!std::isfinite(value)) {
        m_text = "null";
        return;
      }
    }
    char digits[64];
    const std::to_chars_result end = std::to_chars(digits, digits + sizeof digits, value);
    m_text.assign(digits, end.ptr);
  }
  Value(const Object& object);
  Value(const Array& array);

  [[nodiscard]] const std::string& text() const { return m_text; }

 private:
  std::string m_text;
};

class Object {
 public:
  Object() = default;
  Object(std::initializer_list<std::pair<std::string_view, Value>> members) {
    for (const auto& [key, value] : members) add(key, value);
  }
  Object& add(std::string_view key, const Value& value) {
    if (!m_members.empty()) m_members += ',';
    m_members += quote(key);
    m_members += ':';
    m_members += value.text();
    return *this;
  }
  [[nodiscard]] std::string text() const { return '{' + m_members + '}'; }

 private:
  std::string m_members;
};

class Array {
 public:
  Array() = default;
  Array(std::initializer_list<Value> values) {
    for (const Value& value : values) add(value);
  }
  Array& add(const Value& value) {
    if (!m_values.empty()) m_values += ',';
    m_values += value.text();
    return *this;
  }
  [[nodiscard]] std::string text() const { return '[' + m_values + ']'; }

 private:
  std::string m_values;
};

inline Value::Value(const Object& object) : m_text(object.text()) {}
inline Value::Value(const Array& array) : m_text(array.text()) {}

}  // namespace kortex::json
#endif
