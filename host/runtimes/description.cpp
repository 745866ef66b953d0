#include "runtimes/description.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "runtimes/text.hpp"

namespace kortex::host {
namespace {

constexpr std::size_t max_text = 4096;
constexpr std::size_t max_options = 256;
constexpr std::size_t max_choices = 256;

std::string text_of(const char* text) {
  return text == nullptr ? std::string() : clean_line({text, ::strnlen(text, max_text)}, max_text);
}

Option::Type type_of(kortex_option_type type) {
  switch (type) {
    case KORTEX_OPT_BOOL: return Option::Type::boolean;
    case KORTEX_OPT_INT: return Option::Type::integer;
    case KORTEX_OPT_SIZE: return Option::Type::size;
    case KORTEX_OPT_DURATION: return Option::Type::duration;
    case KORTEX_OPT_ENUM: return Option::Type::enumeration;
    case KORTEX_OPT_PATH: return Option::Type::path;
    default: return Option::Type::string;
  }
}

Option option_of(const kortex_option& from) {
  Option option;
  option.name = text_of(from.name);
  option.help = text_of(from.help);
  option.type = type_of(from.type);
  option.required = (from.flags & KORTEX_OPT_REQUIRED) != 0;
  option.repeatable = (from.flags & KORTEX_OPT_REPEATABLE) != 0;
  option.secret = (from.flags & KORTEX_OPT_SECRET) != 0;
  option.deprecated = (from.flags & KORTEX_OPT_DEPRECATED) != 0;
  option.global = (from.flags & KORTEX_OPT_GLOBAL) != 0;
  if (from.default_value != nullptr) option.default_value = text_of(from.default_value);
  for (std::size_t i = 0; from.choices != nullptr && from.choices[i] != nullptr && i < max_choices; ++i)
    option.choices.push_back(text_of(from.choices[i]));
  option.min_value = from.min_value;
  option.max_value = from.max_value;
  return option;
}

std::uint32_t flags_of(const Option& option) {
  return (option.required ? 1u : 0u) | (option.repeatable ? 2u : 0u) | (option.secret ? 4u : 0u) |
         (option.deprecated ? 8u : 0u) | (option.global ? 16u : 0u);
}

std::string read_text(FrameReader& in) { return std::string(in.text()); }

}  // namespace

Description describe_table(const kortex_plugin& table) {
  Description description;
  description.name = text_of(table.name);
  description.version = text_of(table.version);
  description.summary = text_of(table.summary);
  description.vendor = text_of(table.vendor);
  description.homepage = text_of(table.homepage);
  description.license = text_of(table.license);
  description.capabilities = table.capabilities;
  for (std::size_t i = 0; table.options != nullptr && table.options[i] != nullptr && i < max_options; ++i)
    if (table.options[i]->struct_size >= sizeof(kortex_option) && table.options[i]->name != nullptr)
      description.options.push_back(option_of(*table.options[i]));
  description.lists = KORTEX_HAS(kortex_plugin, &table, list) && table.list != nullptr;
  description.execs = KORTEX_HAS(kortex_plugin, &table, exec) && table.exec != nullptr;
  description.terminals = KORTEX_HAS(kortex_plugin, &table, terminal) && table.terminal != nullptr;
  description.logs = KORTEX_HAS(kortex_plugin, &table, logs) && table.logs != nullptr;
  description.waits = KORTEX_HAS(kortex_plugin, &table, wait) && table.wait != nullptr;
  return description;
}

KeyValues with_global_defaults(const kortex_plugin& table, KeyValues given) {
  Description description;
  for (const Option& option : describe_table(table).options) {
    const bool present = std::any_of(given.begin(), given.end(), [&](const auto& pair) { return pair.first == option.name; });
    if (option.global && option.default_value && !present) description.options.push_back(option);
  }
  if (description.options.empty()) return given;
  for (auto& pair : complete_options(description, {}, "/").global) given.push_back(std::move(pair));
  return given;
}

void write_key_values(PayloadWriter& out, const KeyValues& pairs) {
  out.number(static_cast<std::uint32_t>(pairs.size()));
  for (const auto& [key, value] : pairs) out.text(key).text(value);
}

KeyValues read_key_values(FrameReader& in) {
  KeyValues pairs;
  const auto count = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    std::string key = read_text(in);
    pairs.emplace_back(std::move(key), read_text(in));
  }
  return pairs;
}

void write_description(PayloadWriter& out, const Description& d) {
  out.text(d.name).text(d.version).text(d.summary).text(d.vendor).text(d.homepage).text(d.license);
  out.number(d.capabilities).number(d.lists).number(d.execs).number(d.terminals).number(d.logs).number(d.waits);
  out.number(static_cast<std::uint32_t>(d.options.size()));
  for (const Option& option : d.options) {
    out.text(option.name).text(option.help).number(static_cast<std::int32_t>(option.type)).number(flags_of(option));
    out.number(option.default_value.has_value()).text(option.default_value.value_or(""));
    out.number(option.min_value).number(option.max_value);
    out.number(static_cast<std::uint32_t>(option.choices.size()));
    for (const std::string& choice : option.choices) out.text(choice);
  }
}

Description read_description(FrameReader& in) {
  Description d;
  for (std::string* text : {&d.name, &d.version, &d.summary, &d.vendor, &d.homepage, &d.license}) *text = in.text();
  d.capabilities = in.number<std::uint64_t>();
  for (bool* flag : {&d.lists, &d.execs, &d.terminals, &d.logs, &d.waits}) *flag = in.number<std::uint8_t>() != 0;
  const auto options = in.number<std::uint32_t>();
  for (std::uint32_t i = 0; i < options && in.ok(); ++i) {
    Option option;
    option.name = in.text();
    option.help = in.text();
    option.type = static_cast<Option::Type>(in.number<std::int32_t>());
    const auto flags = in.number<std::uint32_t>();
    option.required = (flags & 1u) != 0;
    option.repeatable = (flags & 2u) != 0;
    option.secret = (flags & 4u) != 0;
    option.deprecated = (flags & 8u) != 0;
    option.global = (flags & 16u) != 0;
    const bool has_default = in.number<std::uint8_t>() != 0;
    std::string default_value = read_text(in);
    if (has_default) option.default_value = std::move(default_value);
    option.min_value = in.number<std::int64_t>();
    option.max_value = in.number<std::int64_t>();
    const auto choices = in.number<std::uint32_t>();
    for (std::uint32_t j = 0; j < choices && in.ok(); ++j) option.choices.push_back(read_text(in));
    d.options.push_back(std::move(option));
  }
  return d;
}

}  // namespace kortex::host
