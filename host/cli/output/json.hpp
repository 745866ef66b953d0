/// One JSON document, written as it is built: ten thousand workspaces need no tree in memory.
///
///     JsonText json;
///     json.begin_object().member("id", id).key("items").begin_array();
///     …
///     json.end_array().end_object();
///     out << json.take();
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kortex::host {

class JsonText {
 public:
  enum class Style { indented, one_line };
  explicit JsonText(Style style = Style::indented) : m_style(style) {}

  JsonText& begin_object() { return open('{'); }
  JsonText& end_object() { return close('}'); }
  JsonText& begin_array() { return open('['); }
  JsonText& end_array() { return close(']'); }
  JsonText& key(std::string_view name);

  JsonText& value(std::string_view text);  ///< broken UTF-8 is mended
  JsonText& value(const char* text) { return value(std::string_view(text)); }
  JsonText& value(std::int64_t number);
  JsonText& value(bool truth);
  JsonText& null();
  /// Another document, as a value. Null when it is none.
  JsonText& document(std::string_view json);

  template <class T>
  JsonText& member(std::string_view name, const T& content) {
    key(name);
    return value(content);
  }
  JsonText& member(std::string_view name, const std::vector<std::string>& texts);

  [[nodiscard]] std::size_t size() const { return m_text.size(); }
  /// What there is of the document so far; the rest comes with the next call or with take().
  [[nodiscard]] std::string take_part();
  /// The document, ending in a newline.
  [[nodiscard]] std::string take();

 private:
  JsonText& open(char bracket);
  JsonText& close(char bracket);
  void separate();
  void start_line();
  void string(std::string_view text);

  Style m_style;
  std::string m_text;
  int m_depth = 0;
  bool m_first = true;      ///< nothing yet in the innermost object or array
  bool m_after_key = false;
};

/// A plugin's JSON for people: "symbolic links, rootless yes, network pasta". The member `plain` is told first and without
/// its name; names inside others follow a dot. What is no object is told as it is.
[[nodiscard]] std::string json_in_words(std::string_view json, std::string_view plain);

}  // namespace kortex::host
