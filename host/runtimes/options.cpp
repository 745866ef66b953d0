/// `--runtime-option key=value` against what a runtime declares.
#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <limits>
#include <string>
#include <system_error>

#include "runtimes/runtime.hpp"
#include "runtimes/text.hpp"
#include "system/files.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_secret_size = 64 * 1024;
constexpr std::int64_t max_int64 = std::numeric_limits<std::int64_t>::max();

struct Unit {
  std::string_view suffix;
  std::int64_t factor;
};
constexpr std::int64_t kilo = 1000, kibi = 1024;
constexpr std::array<Unit, 18> size_units{{{"", 1},
                                           {"B", 1},
                                           {"K", kibi},
                                           {"k", kibi},
                                           {"KiB", kibi},
                                           {"kB", kilo},
                                           {"KB", kilo},
                                           {"M", kibi* kibi},
                                           {"m", kibi* kibi},
                                           {"MiB", kibi* kibi},
                                           {"MB", kilo* kilo},
                                           {"G", kibi* kibi* kibi},
                                           {"g", kibi* kibi* kibi},
                                           {"GiB", kibi* kibi* kibi},
                                           {"GB", kilo* kilo* kilo},
                                           {"T", kibi* kibi* kibi* kibi},
                                           {"TiB", kibi* kibi* kibi* kibi},
                                           {"TB", kilo* kilo* kilo* kilo}}};
constexpr std::array<Unit, 4> duration_units{{{"ms", 1}, {"s", 1000}, {"m", 60 * 1000}, {"h", 60 * 60 * 1000}}};

[[noreturn]] void refuse(const Option& option, const std::string& value, const std::string& reason,
                         const std::string& hint = {}) {
  const std::string shown = option.secret ? "" : " '" + clean_line(value, 200) + "'";
  throw Error(ErrorKind::usage, "invalid value" + shown + " for runtime option '" + option.name + "': " + reason, hint);
}

/// "1.5" with a factor of 1024 is 1536: exact, or refused. Nullopt: no number, overflow or not a whole result.
template <std::size_t n>
std::optional<std::int64_t> parse_quantity(std::string_view text, const std::array<Unit, n>& units) {
  std::int64_t whole = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc() || text.front() == '-') return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  std::string_view fraction;
  if (text.starts_with('.')) {
    const std::size_t digits = std::min(text.find_first_not_of("0123456789", 1), text.size());
    fraction = text.substr(1, digits - 1);
    if (fraction.empty() || fraction.size() > 9) return std::nullopt;
    text.remove_prefix(digits);
  }
  const auto unit = std::find_if(units.begin(), units.end(), [&](const Unit& u) { return u.suffix == text; });
  if (unit == units.end() || whole > max_int64 / unit->factor) return std::nullopt;
  std::int64_t value = whole * unit->factor;
  std::int64_t numerator = 0, denominator = 1;
  for (const char digit : fraction) {
    numerator = numerator * 10 + (digit - '0');
    denominator *= 10;
  }
  // At most 10^9 * 2^40: the product needs more than 64 bits.
  __extension__ using Wide = __int128;
  const Wide product = static_cast<Wide>(numerator) * unit->factor;
  if (product % denominator != 0) return std::nullopt;
  const auto part = static_cast<std::int64_t>(product / denominator);
  if (part > max_int64 - value) return std::nullopt;
  value += part;
  return value;
}

void check_range(const Option& option, const std::string& given, std::int64_t value, const char* unit) {
  if (option.min_value >= option.max_value) return;
  if (value >= option.min_value && value <= option.max_value) return;
  refuse(option, given, "must be between " + std::to_string(option.min_value) + " and " +
                            std::to_string(option.max_value) + unit);
}

std::string read_secret(const Option& option, const std::string& file) {
  try {
    std::string value = read_file(file, max_secret_size);
    while (!value.empty() && (value.back() == '\n' || value.back() == '\r')) value.pop_back();
    if (value.find('\0') != std::string::npos) refuse(option, file, "the file holds binary data");
    return value;
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::usage, "cannot read the value of runtime option '" + option.name + "' from '" + file +
                                      "': " + unreadable_because(error.code()));
  }
}

std::string absolute_path(const std::string& value, const std::string& cwd) {
  const fs::path path = fs::path(value).is_absolute() ? fs::path(value) : fs::path(cwd) / value;
  const fs::path normal = path.lexically_normal();
  return (normal.has_filename() ? normal : normal.parent_path()).string();
}

/// As the ABI wants it.
std::string convert(const Option& option, const std::string& value, const std::string& cwd) {
  switch (option.type) {
    case Option::Type::string: return value;
    case Option::Type::boolean:
      if (value == "true" || value == "yes" || value == "on" || value == "1") return "true";
      if (value == "false" || value == "no" || value == "off" || value == "0") return "false";
      refuse(option, value, "expected true or false");
    case Option::Type::integer: {
      std::int64_t number = 0;
      const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
      if (error != std::errc() || end != value.data() + value.size()) refuse(option, value, "expected a whole number");
      check_range(option, value, number, "");
      return std::to_string(number);
    }
    case Option::Type::size: {
      const auto bytes = value.empty() ? std::nullopt : parse_quantity(value, size_units);
      if (!bytes) refuse(option, value, "expected a size such as 512MiB, 2G or 100000");
      check_range(option, value, *bytes, " bytes");
      return std::to_string(*bytes);
    }
    case Option::Type::duration: {
      const auto ms = value.empty() ? std::nullopt : parse_quantity(value, duration_units);
      if (!ms) refuse(option, value, "expected a duration such as 30s, 5m or 250ms");
      check_range(option, value, *ms, " ms");
      return std::to_string(*ms);
    }
    case Option::Type::enumeration: {
      if (std::find(option.choices.begin(), option.choices.end(), value) != option.choices.end()) return value;
      std::string choices;
      for (const std::string& choice : option.choices) choices += (choices.empty() ? "" : ", ") + choice;
      refuse(option, value, "no such choice", "one of: " + choices);
    }
    case Option::Type::path:
      if (value.empty()) refuse(option, value, "expected a path");
      return absolute_path(value, cwd);
  }
  refuse(option, value, "of a type that this kortex-cli does not know");
}

[[noreturn]] void refuse_unknown(const Description& runtime, const std::string& name) {
  std::vector<std::string> known;
  for (const Option& option : runtime.options) known.push_back(option.name);
  const std::vector<std::string> close = nearest(name, known);
  std::string hint;
  if (!close.empty()) {
    hint = "did you mean '" + close.front() + "'?";
  } else if (!known.empty()) {
    hint = "it takes: ";
    for (std::size_t i = 0; i < known.size(); ++i) hint += (i == 0 ? "" : ", ") + known[i];
  } else {
    hint = "it takes no options";
  }
  throw Error(ErrorKind::usage, "runtime '" + runtime.name + "' has no option '" + clean_line(name, 200) + "'", hint);
}

}  // namespace

CompletedOptions complete_options(const Description& runtime, const KeyValues& given, const std::string& cwd) {
  for (const auto& [name, value] : given)
    if (std::none_of(runtime.options.begin(), runtime.options.end(), [&n = name](const Option& o) { return o.name == n; }))
      refuse_unknown(runtime, name);
  CompletedOptions completed;
  for (const Option& option : runtime.options) {
    KeyValues& target = option.secret ? completed.secret : option.global ? completed.global : completed.instance;
    std::size_t count = 0;
    for (const auto& [name, value] : given) {
      if (name != option.name) continue;
      if (++count > 1 && !option.repeatable)
        throw Error(ErrorKind::usage, "runtime option '" + option.name + "' is given more than once");
      if (option.secret && value.starts_with('@'))
        target.emplace_back(name, convert(option, read_secret(option, absolute_path(value.substr(1), cwd)), cwd));
      else
        target.emplace_back(name, convert(option, value, cwd));
    }
    if (count > 0) continue;
    if (option.default_value)
      target.emplace_back(option.name, convert(option, *option.default_value, cwd));
    else if (option.required)
      throw Error(ErrorKind::usage, "runtime '" + runtime.name + "' needs the option '" + option.name + "'",
                  "--runtime-option " + option.name + "=" + (option.choices.empty() ? "VALUE" : option.choices.front()));
  }
  return completed;
}

}  // namespace kortex::host
