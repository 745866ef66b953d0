#include "instances/summary.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <cstring>

#include "config/json_document.hpp"

namespace kortex::host {

namespace json = boost::json;

namespace {

/// Gets the parser's events. Whatever is not as expected ends the parsing: parse_record() finds the words for it.
class Handler {
 public:
  static constexpr std::size_t max_object_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_array_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_key_size = static_cast<std::size_t>(-1);
  static constexpr std::size_t max_string_size = static_cast<std::size_t>(-1);

  Handler(const Summary& last, Summary& summary, TextPool& pool) : m_last(last), m_summary(summary), m_pool(pool) {}

  [[nodiscard]] bool complete(std::string_view id) const {
    const Summary& s = m_summary;
    return m_schema >= 1 && m_schema <= Record::schema && m_id == id && s.created_ms >= 0 && s.started_ms >= 0 && m_has_name && m_has_key &&
           m_has_source && m_has_configuration && m_has_runtime && is_level(s.isolation) && !s.name.empty() && !s.key.empty() && !s.source.empty() &&
           !s.configuration.empty() && !s.runtime.empty();
  }
  [[nodiscard]] std::string_view phase() const { return m_phase; }

  bool on_document_begin(json::error_code&) { return true; }
  bool on_document_end(json::error_code&) { return true; }
  bool on_object_begin(json::error_code& error) {
    if (m_depth == 1) {
      if (m_wanted == Wanted::text || m_wanted == Wanted::number || m_wanted == Wanted::nothing) return odd(error);
      m_section = m_wanted == Wanted::section ? m_named : Section::other;
    } else if (m_depth == 0) {
      m_section = Section::root;
    } else if (m_wanted != Wanted::anything) {
      return odd(error);
    }
    m_wanted = Wanted::anything;
    ++m_depth;
    return true;
  }
  bool on_object_end(std::size_t, json::error_code&) { return leave(); }
  bool on_array_begin(json::error_code& error) {
    if (m_depth == 0 || m_wanted != Wanted::anything) return odd(error);
    ++m_depth;
    if (m_depth == 2) m_section = Section::other;
    return true;
  }
  bool on_array_end(std::size_t, json::error_code&) { return leave(); }

  bool on_key_part(json::string_view, std::size_t, json::error_code& error) { return odd(error); }
  bool on_key(json::string_view given, std::size_t, json::error_code&) {
    const std::string_view key(given.data(), given.size());
    m_wanted = Wanted::anything;
    if (m_depth == 1) root_member(key);
    else if (m_depth == 2) member(key);
    return true;
  }

  bool on_string_part(json::string_view, std::size_t, json::error_code& error) {
    return m_wanted == Wanted::anything && m_depth > 0 ? true : odd(error);
  }
  bool on_string(json::string_view text, std::size_t, json::error_code& error) {
    if (m_wanted == Wanted::anything && m_depth > 0) return true;
    if (m_wanted != Wanted::text || std::memchr(text.data(), '\0', text.size()) != nullptr) return odd(error);
    const std::string_view given(text.data(), text.size());
    *m_text = m_alike != nullptr && *m_alike == given ? *m_alike : m_pool.keep(given);
    m_wanted = Wanted::anything;
    return true;
  }
  bool on_number_part(json::string_view, json::error_code&) { return true; }
  bool on_int64(std::int64_t number, json::string_view, json::error_code& error) {
    if (m_wanted == Wanted::anything && m_depth > 0) return true;
    if (m_wanted != Wanted::number) return odd(error);
    *m_number = number;
    m_wanted = Wanted::anything;
    return true;
  }
  bool on_uint64(std::uint64_t, json::string_view, json::error_code& error) { return other_value(error); }
  bool on_double(double, json::string_view, json::error_code& error) { return other_value(error); }
  bool on_bool(bool, json::error_code& error) { return other_value(error); }
  bool on_null(json::error_code& error) { return other_value(error); }
  bool on_comment_part(json::string_view, json::error_code&) { return true; }
  bool on_comment(json::string_view, json::error_code&) { return true; }

 private:
  /// The whole parser has an answer to the others, and to there being none.
  static bool is_level(std::string_view isolation) {
    for (const Isolation level : {Isolation::none, Isolation::process, Isolation::container, Isolation::microvm})
      if (to_string(level) == isolation) return true;
    return false;
  }

  /// What the value after the last key must be; `nothing`: only the whole parser reads it.
  enum class Wanted { anything, text, number, section, nothing };
  enum class Section { root, paths, timestamps, runtime, guarantees, other };

  static bool odd(json::error_code& error) {
    error = json::error::exception;
    return false;
  }
  bool other_value(json::error_code& error) const { return m_wanted == Wanted::anything && m_depth > 0 ? true : odd(error); }
  bool leave() {
    --m_depth;
    return true;
  }

  void want(std::string_view& text) {
    m_wanted = Wanted::text;
    m_text = &text;
    m_alike = nullptr;
  }
  void want(std::string_view& text, bool& has) {
    want(text);
    has = true;
  }
  /// Most workspaces have these texts in common with others.
  void want_alike(std::string_view Summary::*text) {
    want(m_summary.*text);
    m_alike = &(m_last.*text);
  }
  void want_alike(std::string_view Summary::*text, bool& has) {
    want_alike(text);
    has = true;
  }
  void want(std::int64_t& number) {
    m_wanted = Wanted::number;
    m_number = &number;
  }
  void want(Section section) {
    const unsigned bit = 1u << static_cast<unsigned>(section);
    // The second of two takes the place of the first, with all that was in there.
    m_wanted = (m_sections & bit) != 0 ? Wanted::nothing : Wanted::section;
    m_sections |= bit;
    m_named = section;
  }

  void root_member(std::string_view key) {
    if (key == "schema") want(m_schema);
    else if (key == "id") want(m_id);
    else if (key == "name") want(m_summary.name, m_has_name);
    else if (key == "key") want(m_summary.key, m_has_key);
    else if (key == "project") want_alike(&Summary::project);
    else if (key == "agent") want_alike(&Summary::agent);
    else if (key == "model") want_alike(&Summary::model);
    else if (key == "phase") want(m_phase);
    else if (key == "paths") want(Section::paths);
    else if (key == "timestamps") want(Section::timestamps);
    else if (key == "runtime") want(Section::runtime);
    else if (key == "guarantees") want(Section::guarantees);
    else if (key == "forwards") m_wanted = Wanted::nothing;
  }

  void member(std::string_view key) {
    switch (m_section) {
      case Section::paths:
        if (key == "source") want_alike(&Summary::source, m_has_source);
        else if (key == "configuration") want_alike(&Summary::configuration, m_has_configuration);
        break;
      case Section::timestamps:
        if (key == "created") want(m_summary.created_ms);
        else if (key == "started") want(m_summary.started_ms);
        break;
      case Section::runtime:
        if (key == "name") want_alike(&Summary::runtime, m_has_runtime);
        else if (key == "instance_id") want(m_summary.instance_id);
        else if (key == "global_options") m_wanted = Wanted::nothing;
        break;
      case Section::guarantees:
        if (key == "isolation") want_alike(&Summary::isolation);
        break;
      case Section::root:
      case Section::other: break;
    }
  }

  const Summary& m_last;
  Summary& m_summary;
  TextPool& m_pool;
  std::size_t m_depth = 0;
  Section m_section = Section::other, m_named = Section::other;
  unsigned m_sections = 0;  ///< a bit for each that has been seen
  Wanted m_wanted = Wanted::anything;
  std::string_view* m_text = nullptr;
  const std::string_view* m_alike = nullptr;
  std::int64_t* m_number = nullptr;
  std::int64_t m_schema = 0;
  std::string_view m_id, m_phase;
  bool m_has_name = false, m_has_key = false, m_has_source = false, m_has_configuration = false, m_has_runtime = false;
};

}  // namespace

Summary summary_of(const Entry& entry) {
  Summary summary;
  summary.id = entry.id;
  summary.name = entry.name;
  summary.problem = entry.problem;
  if (!entry.record) return summary;
  const Record& record = *entry.record;
  summary.readable = true;
  summary.project = record.project;
  summary.agent = record.spec.agent_name;
  summary.model = record.model;
  summary.runtime = record.runtime;
  summary.source = record.spec.source_path;
  summary.isolation = to_string(record.guarantees.isolation);
  summary.configuration = record.spec.config_path;
  summary.key = record.key;
  summary.instance_id = record.instance_id;
  summary.global_options = record.spec.global_options;
  summary.phase = record.phase;
  summary.created_ms = record.created_ms;
  summary.started_ms = record.started_ms;
  summary.forwards = record.forwards;
  return summary;
}

bool read_summary(std::string_view text, std::string_view id, const Summary& last, Summary& summary, TextPool& pool) {
  if (text.size() > JsonDocument::max_size) return false;
  json::parse_options options;
  options.max_depth = JsonDocument::max_depth;
  json::basic_parser<Handler> parser(options, last, summary, pool);
  json::error_code error;
  const std::size_t used = parser.write_some(false, text.data(), text.size(), error);
  if (error || used < text.size() || !parser.handler().complete(id)) return false;
  summary.phase = phase_from_string(parser.handler().phase());
  summary.readable = true;
  return true;
}

}  // namespace kortex::host
