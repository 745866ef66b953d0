#include "json_reader.hpp"

#include <cstdint>

namespace kortex::check {
namespace {

class Parser {
 public:
  explicit Parser(std::string_view text) : m_text(text) {}

  std::optional<Json> document() {
    Json value;
    if (!parse(value, 0)) return std::nullopt;
    skip_blanks();
    if (m_at != m_text.size()) return std::nullopt;
    return value;
  }

 private:
  static constexpr int max_depth = 32;

  void skip_blanks() {
    while (m_at < m_text.size() && (m_text[m_at] == ' ' || m_text[m_at] == '\t' || m_text[m_at] == '\n' || m_text[m_at] == '\r')) ++m_at;
  }
  bool take(char c) {
    skip_blanks();
    if (m_at >= m_text.size() || m_text[m_at] != c) return false;
    ++m_at;
    return true;
  }
  bool take_word(std::string_view word) {
    if (m_text.substr(m_at, word.size()) != word) return false;
    m_at += word.size();
    return true;
  }

  bool parse(Json& value, int depth) {
    skip_blanks();
    if (depth > max_depth || m_at >= m_text.size()) return false;
    const char first = m_text[m_at];
    if (first == '{') return parse_object(value, depth);
    if (first == '[') return parse_array(value, depth);
    if (first == '"') {
      value.kind = Json::Kind::string;
      return parse_string(value.text);
    }
    for (const char* word : {"true", "false"})
      if (take_word(word)) {
        value.kind = Json::Kind::boolean;
        value.text = word;
        return true;
      }
    if (take_word("null")) return true;
    return parse_number(value);
  }

  bool parse_object(Json& value, int depth) {
    value.kind = Json::Kind::object;
    ++m_at;
    if (take('}')) return true;
    do {
      std::string name;
      skip_blanks();
      if (m_at >= m_text.size() || m_text[m_at] != '"' || !parse_string(name) || !take(':')) return false;
      if (!parse(value.members[name], depth + 1)) return false;
    } while (take(','));
    return take('}');
  }

  bool parse_array(Json& value, int depth) {
    value.kind = Json::Kind::array;
    ++m_at;
    if (take(']')) return true;
    do {
      if (!parse(value.items.emplace_back(), depth + 1)) return false;
    } while (take(','));
    return take(']');
  }

  bool parse_string(std::string& text) {
    ++m_at;
    while (m_at < m_text.size() && m_text[m_at] != '"') {
      const char c = m_text[m_at++];
      if (static_cast<unsigned char>(c) < 0x20) return false;
      if (c != '\\') {
        text += c;
        continue;
      }
      if (m_at >= m_text.size()) return false;
      const char escape = m_text[m_at++];
      constexpr std::string_view from = "\"\\/bfnrt", to = "\"\\/\b\f\n\r\t";
      if (const std::size_t i = from.find(escape); i != std::string_view::npos) {
        text += to[i];
      } else if (escape == 'u') {
        if (!parse_code_point(text)) return false;
      } else {
        return false;
      }
    }
    return m_at++ < m_text.size();
  }

  /// Surrogates are kept as three bytes each: nobody here compares them.
  bool parse_code_point(std::string& text) {
    std::uint32_t code = 0;
    for (int i = 0; i < 4; ++i) {
      if (m_at >= m_text.size()) return false;
      const std::size_t digit = std::string_view("0123456789abcdefABCDEF").find(m_text[m_at++]);
      if (digit == std::string_view::npos) return false;
      code = code * 16 + static_cast<std::uint32_t>(digit < 16 ? digit : digit - 6);
    }
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | code >> 6);
      text += static_cast<char>(0x80 | (code & 63));
    } else {
      text += static_cast<char>(0xE0 | code >> 12);
      text += static_cast<char>(0x80 | (code >> 6 & 63));
      text += static_cast<char>(0x80 | (code & 63));
    }
    return true;
  }

  bool parse_number(Json& value) {
    const std::size_t begin = m_at;
    const auto digits = [&] {
      const std::size_t from = m_at;
      while (m_at < m_text.size() && m_text[m_at] >= '0' && m_text[m_at] <= '9') ++m_at;
      return m_at > from;
    };
    take_word("-");
    const std::size_t whole = m_at;
    if (!digits() || (m_text[whole] == '0' && m_at > whole + 1)) return false;
    if (take_word(".") && !digits()) return false;
    if (take_word("e") || take_word("E")) {
      if (!take_word("+")) take_word("-");
      if (!digits()) return false;
    }
    value.kind = Json::Kind::number;
    value.text = std::string(m_text.substr(begin, m_at - begin));
    return true;
  }

  std::string_view m_text;
  std::size_t m_at = 0;
};

}  // namespace

std::optional<Json> parse_json(std::string_view text) { return Parser(text).document(); }

}  // namespace kortex::check
