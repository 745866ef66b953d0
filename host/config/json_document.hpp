/// JSON written by people: parsed strictly, and every complaint about it says where.
///
///     JsonDocument document(text, "workspace.json", ErrorKind::refused);
///     JsonReader root = document.root();
///     root.known({"ports"});
///     if (auto ports = root.member("ports"))
///       ports->each([&](const JsonReader& port) { use(port.integer(1, 65535)); });
#pragma once

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "system/error.hpp"

namespace kortex::host {

class JsonReader;

/// The way to a value of a document: keys and indices from its root.
struct JsonStep {
  JsonStep(std::string_view name) : key(name) {}
  JsonStep(const char* name) : key(name) {}
  JsonStep(const std::string& name) : key(name) {}
  JsonStep(std::size_t number) : index(number) {}
  std::string_view key;
  std::optional<std::size_t> index;
};
enum class JsonPlace { key, value };
/// "<file>:<line>:<column>" of the last step's value, or of its key. `text` is a document that has been read without a
/// complaint; as far as the way leads nowhere in it, the place is that of what is around.
[[nodiscard]] std::string place_in_json(std::string_view text, const std::string& file, const std::vector<JsonStep>& way,
                                        JsonPlace = JsonPlace::value);

enum class DuplicateKeys { refuse, last_wins };

class JsonDocument {
 public:
  static constexpr std::size_t max_size = 1024 * 1024;
  static constexpr std::size_t max_depth = 32;

  /// `text` must outlive the document. Throws Error(kind) "<file>:<line>:<column>: <reason>". A byte order mark is skipped.
  JsonDocument(std::string_view text, std::string file, ErrorKind kind, DuplicateKeys = DuplicateKeys::refuse);
  JsonDocument(const JsonDocument&) = delete;
  JsonDocument& operator=(const JsonDocument&) = delete;

  [[nodiscard]] JsonReader root() const;

 private:
  friend class JsonReader;
  [[noreturn]] void fail_at(std::size_t offset, const std::string& reason, const std::string& hint) const;

  std::string_view m_text;
  std::string m_file;
  ErrorKind m_kind;
  unsigned char m_buffer[16 * 1024];  // enough for a usual file: no allocation
  boost::json::monotonic_resource m_memory;
  boost::json::value m_root;
};

/// One value of a document, and the way to it. Cheap; must not outlive its parent reader.
class JsonReader {
 public:
  [[nodiscard]] const boost::json::value& value() const { return *m_value; }

  /// Refuses a value that is no object, and keys that are not among `names` (the nearest one is the hint).
  void known(const std::vector<std::string>& names) const;
  [[nodiscard]] std::optional<JsonReader> member(std::string_view key) const;
  /// Throws when there is no such member.
  [[nodiscard]] JsonReader required(std::string_view key) const;
  /// Calls `function(const JsonReader&)` for each element of an array.
  template <typename Function>
  void each(Function function) const {
    const auto& elements = array();
    for (std::size_t i = 0; i < elements.size(); ++i) function(JsonReader(m_document, &elements[i], this, {}, i));
  }
  /// Calls `function(std::string_view key, const JsonReader&)` for each member of an object.
  template <typename Function>
  void each_member(Function function) const {
    for (const auto& member : object()) {
      const std::string_view key(member.key().data(), member.key().size());
      function(key, JsonReader(m_document, &member.value(), this, key, 0));
    }
  }

  /// Text without NUL characters.
  [[nodiscard]] std::string string() const;
  [[nodiscard]] std::string_view view() const;
  [[nodiscard]] bool boolean() const;
  [[nodiscard]] std::int64_t integer(std::int64_t min, std::int64_t max) const;
  [[nodiscard]] const boost::json::object& object() const;
  [[nodiscard]] const boost::json::array& array() const;
  [[nodiscard]] std::vector<std::string> strings() const;

  [[noreturn]] void fail(const std::string& reason, const std::string& hint = {}) const;

 private:
  friend class JsonDocument;
  JsonReader(const JsonDocument* document, const boost::json::value* value, const JsonReader* parent, std::string_view key,
             std::size_t index)
      : m_document(document), m_value(value), m_parent(parent), m_key(key), m_index(index) {}
  enum class Where { key, value };
  [[noreturn]] void fail(Where where, std::string_view member, const std::string& reason, const std::string& hint) const;

  const JsonDocument* m_document;
  const boost::json::value* m_value;
  const JsonReader* m_parent;
  std::string_view m_key;
  std::size_t m_index;
};

}  // namespace kortex::host
