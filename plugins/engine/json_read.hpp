/// Reading what an engine says: a member that is missing, null or of another type is simply not there, because
/// engines and their versions differ in what they leave out.
#pragma once

#include <boost/json.hpp>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace kortex::engine {

namespace json = boost::json;

/// The member at the end of `path`, or nullptr.
[[nodiscard]] inline const json::value* find(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* at = &value;
  for (const std::string_view key : path) {
    const json::object* object = at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

[[nodiscard]] inline std::string text_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* found = find(value, path);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

[[nodiscard]] inline std::int64_t number_at(const json::value& value, std::initializer_list<std::string_view> path,
                                            std::int64_t otherwise = 0) {
  const json::value* found = find(value, path);
  if (found == nullptr) return otherwise;
  if (found->is_int64()) return found->get_int64();
  if (found->is_uint64()) return static_cast<std::int64_t>(found->get_uint64());
  return otherwise;
}

/// 0: none, or none that there can be.
[[nodiscard]] inline std::uint16_t port_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const std::int64_t number = number_at(value, path);
  return number > 0 && number <= 65535 ? static_cast<std::uint16_t>(number) : std::uint16_t{0};
}

[[nodiscard]] inline bool flag_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* found = find(value, path);
  return found != nullptr && found->is_bool() && found->get_bool();
}

/// Empty where there is none.
[[nodiscard]] inline const json::array& array_at(const json::value& value, std::initializer_list<std::string_view> path) {
  static const json::array none;
  const json::value* found = find(value, path);
  return found != nullptr && found->is_array() ? found->get_array() : none;
}

/// "2026-11-23T19:57:12.279747733Z" or with "+01:00", as Unix milliseconds; 0: the engines' "never", or no time.
[[nodiscard]] std::int64_t time_ms(std::string_view rfc3339);

}  // namespace kortex::engine
