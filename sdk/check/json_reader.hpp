/// Just enough JSON to look at what a plugin says of itself.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kortex::check {

struct Json {
  enum class Kind { null, boolean, number, string, array, object };
  Kind kind = Kind::null;
  std::string text;  ///< of a string; as written of a number or a boolean
  std::vector<Json> items;
  std::map<std::string, Json> members;

  [[nodiscard]] const Json* find(const std::string& name) const {
    const auto at = members.find(name);
    return at == members.end() ? nullptr : &at->second;
  }
};

/// Nullopt: not one JSON document, or nested deeper than 32.
[[nodiscard]] std::optional<Json> parse_json(std::string_view text);

}  // namespace kortex::check
