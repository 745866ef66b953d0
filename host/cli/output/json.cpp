#include "cli/output/json.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <cstring>

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

/// Eight characters at a time: the top bit of a byte is set, here and in the sums, if it needs an escape or is no ASCII.
/// A carry into the next byte may ask for a second look at that, too, but only where one is needed anyway.
bool is_plain(std::uint64_t eight) {
  constexpr std::uint64_t each = 0x0101010101010101;
  const std::uint64_t found = eight | (eight - each * 0x20) | (eight + each) | ((eight ^ each * '"') - each) | ((eight ^ each * '\\') - each);
  return (found & each * 0x80) == 0;
}

/// ASCII without anything to escape, as nearly all text is.
bool is_plain(std::string_view text) {
  std::uint64_t eight = 0;
  while (text.size() >= sizeof eight) {
    std::memcpy(&eight, text.data(), sizeof eight);
    if (!is_plain(eight)) return false;
    text.remove_prefix(sizeof eight);
  }
  return std::all_of(text.begin(), text.end(), [](char c) { return is_plain(c) && static_cast<unsigned char>(c) < 0x80; });
}

std::string scalar_in_words(const boost::json::value& value) {
  if (const auto* text = value.if_string()) return std::string(text->data(), text->size());
  if (const auto* truth = value.if_bool()) return *truth ? "yes" : "no";
  if (value.is_null()) return "unknown";
  return boost::json::serialize(value);
}

void add_words(std::vector<std::string>& words, const std::string& name, const boost::json::value& value) {
  if (const auto* object = value.if_object()) {
    for (const auto& member : *object) add_words(words, (name.empty() ? "" : name + '.') + std::string(member.key()), member.value());
    return;
  }
  std::string text;
  if (const auto* array = value.if_array())
    for (const auto& element : *array) text += (text.empty() ? "" : " ") + scalar_in_words(element);
  else
    text = scalar_in_words(value);
  if (!text.empty()) words.push_back(name + ' ' + text);
}

}  // namespace

std::string json_in_words(std::string_view json, std::string_view plain) {
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse({json.data(), json.size()}, error);
  const auto* object = error ? nullptr : parsed.if_object();
  if (object == nullptr) return std::string(json);
  std::vector<std::string> words;
  if (const auto* value = object->if_contains({plain.data(), plain.size()})) words.push_back(scalar_in_words(*value));
  for (const auto& member : *object)
    if (member.key() != boost::json::string_view(plain.data(), plain.size())) add_words(words, std::string(member.key()), member.value());
  std::string all;
  for (const std::string& word : words) all += (all.empty() ? "" : ", ") + word;
  return all;
}

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
    const std::size_t plain =
        static_cast<std::size_t>(std::find_if_not(text.begin(), text.end(), [](char c) { return is_plain(c); }) - text.begin());
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
  if (is_plain(text)) {
    m_text += '"';
    m_text += text;
    m_text += '"';
  } else {
    string(valid_utf8(text));
  }
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
