#include "cli/output/json.hpp"

#include <algorithm>
#include <boost/json.hpp>

#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

void write(JsonText& json, const boost::json::value& value) {
  switch (value.kind()) {
    case boost::json::kind::object:
      json.begin_object();
      for (const auto& member : value.get_object()) {
        json.key({member.key().data(), member.key().size()});
        write(json, member.value());
      }
      json.end_object();
      return;
    case boost::json::kind::array:
      json.begin_array();
      for (const auto& element : value.get_array()) write(json, element);
      json.end_array();
      return;
    case boost::json::kind::string:
      json.value(std::string_view(value.get_string().data(), value.get_string().size()));
      return;
    case boost::json::kind::int64: json.value(value.get_int64()); return;
    case boost::json::kind::bool_: json.value(value.get_bool()); return;
    case boost::json::kind::uint64:
    case boost::json::kind::double_:
    case boost::json::kind::null: break;
  }
  json.document(boost::json::serialize(value));
}

/// Needs no escape.
bool is_plain(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte != 0x7F && c != '"' && c != '\\';
}

/// Looks at every byte, which a compiler makes a few at a time.
bool is_ascii(std::string_view text) {
  unsigned char all = 0;
  for (const char c : text) all = static_cast<unsigned char>(all | static_cast<unsigned char>(c));
  return all < 0x80;
}

}  // namespace

void JsonText::start_line() {
  if (m_style == Style::one_line) return;
  m_text += '\n';
  m_text.append(static_cast<std::size_t>(m_depth) * 2, ' ');
}

void JsonText::separate() {
  if (m_after_key) {
    m_after_key = false;
    return;
  }
  if (!m_first) m_text += ',';
  if (m_depth > 0) start_line();
  m_first = false;
}

JsonText& JsonText::open(char bracket) {
  separate();
  m_text += bracket;
  ++m_depth;
  m_first = true;
  return *this;
}

JsonText& JsonText::close(char bracket) {
  --m_depth;
  if (!m_first) start_line();
  m_text += bracket;
  m_first = false;
  return *this;
}

JsonText& JsonText::key(std::string_view name) {
  separate();
  string(name);
  m_text += m_style == Style::one_line ? ":" : ": ";
  m_after_key = true;
  return *this;
}

void JsonText::string(std::string_view text) {
  m_text += '"';
  while (!text.empty()) {
    // Nearly all text is plain: taken at one go.
    const std::size_t plain = static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), is_plain) - text.begin());
    m_text += text.substr(0, plain);
    if (plain == text.size()) break;
    const char c = text[plain];
    if (c == '"' || c == '\\') {
      m_text += '\\';
      m_text += c;
    } else if (c == '\n') {
      m_text += "\\n";
    } else if (c == '\t') {
      m_text += "\\t";
    } else {
      constexpr char digits[] = "0123456789abcdef";
      const auto byte = static_cast<unsigned char>(c);
      m_text += "\\u00";
      m_text += digits[byte >> 4];
      m_text += digits[byte & 15];
    }
    text.remove_prefix(plain + 1);
  }
  m_text += '"';
}

JsonText& JsonText::value(std::string_view text) {
  separate();
  if (is_ascii(text)) string(text);
  else string(valid_utf8(text));
  return *this;
}

JsonText& JsonText::value(std::int64_t number) {
  separate();
  m_text += std::to_string(number);
  return *this;
}

JsonText& JsonText::value(bool truth) {
  separate();
  m_text += truth ? "true" : "false";
  return *this;
}

JsonText& JsonText::null() {
  separate();
  m_text += "null";
  return *this;
}

JsonText& JsonText::document(std::string_view json) {
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse({json.data(), json.size()}, error);
  if (error) return null();
  if (parsed.is_structured() || parsed.is_string() || parsed.is_int64() || parsed.is_bool()) {
    write(*this, parsed);
    return *this;
  }
  separate();
  m_text += boost::json::serialize(parsed);
  return *this;
}

JsonText& JsonText::member(std::string_view name, const std::vector<std::string>& texts) {
  key(name).begin_array();
  for (const std::string& text : texts) value(std::string_view(text));
  return end_array();
}

std::string JsonText::take_part() {
  std::string part = std::move(m_text);
  m_text.clear();
  m_text.reserve(part.capacity());
  return part;
}

std::string JsonText::take() {
  m_text += '\n';
  return std::move(m_text);
}

}  // namespace kortex::host
