#include "config/configuration.hpp"

#include <cmath>
#include <limits>
#include <system_error>

#include "config/json_document.hpp"
#include "config/shared_keys.hpp"
#include "system/error.hpp"
#include "system/files.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

namespace {

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// "512MiB", "2G", "1500000": bytes. Decimal suffixes are binary too, as podman and docker read them.
std::optional<std::int64_t> size_in_bytes(std::string_view text) {
  std::size_t digits = 0;
  std::int64_t number = 0;
  constexpr auto max = std::numeric_limits<std::int64_t>::max();
  for (; digits < text.size() && text[digits] >= '0' && text[digits] <= '9'; ++digits) {
    if (number > (max - (text[digits] - '0')) / 10) return std::nullopt;
    number = number * 10 + (text[digits] - '0');
  }
  if (digits == 0) return std::nullopt;
  std::string suffix;
  for (const char c : text.substr(digits)) suffix += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  int shift = 0;
  if (suffix.empty() || suffix == "b") return number;
  if (suffix == "k" || suffix == "kb" || suffix == "kib") shift = 10;
  else if (suffix == "m" || suffix == "mb" || suffix == "mib") shift = 20;
  else if (suffix == "g" || suffix == "gb" || suffix == "gib") shift = 30;
  else if (suffix == "t" || suffix == "tb" || suffix == "tib") shift = 40;
  else return std::nullopt;
  if (number > (max >> shift)) return std::nullopt;
  return number << shift;
}

Network read_network(const JsonReader& reader) {
  reader.known({"mode", "hosts"});
  Network network;
  network.mode = Network::Mode::deny;
  if (auto mode = reader.member("mode")) {
    const std::string text = mode->string();
    if (text == "allow") network.mode = Network::Mode::allow;
    else if (text != "deny") mode->fail("'" + text + "' is not a network mode", "use \"allow\" or \"deny\"");
  }
  if (auto hosts = reader.member("hosts")) {
    hosts->each([&](const JsonReader& host) {
      std::string text = host.string();
      bool good = !text.empty() && text.size() <= 255;
      for (const char c : text) good = good && (is_name_character(c) || c == '-' || c == '.' || c == ':' || c == '/' || c == '*');
      if (!good || text.find("//") != std::string::npos)
        host.fail("'" + text + "' is not a host name or network", "write \"api.example.com\" or \"10.0.0.0/8\"");
      network.hosts.push_back(std::move(text));
    });
    if (network.mode == Network::Mode::allow && !network.hosts.empty())
      hosts->fail("hosts contradict mode 'allow', which reaches every host", "use \"mode\": \"deny\" to reach just these");
  }
  return network;
}

Resources read_resources(const JsonReader& reader) {
  reader.known({"cpus", "memory", "processes"});
  Resources resources;
  if (auto cpus = reader.member("cpus")) {
    if (!cpus->value().is_number()) cpus->fail("must be a number of processors such as 1.5");
    const double number = cpus->value().to_number<double>();
    if (!(number >= 0.001 && number <= 100000)) cpus->fail("must be between 0.001 and 100000");
    resources.cpus_milli = std::llround(number * 1000);
  }
  if (auto memory = reader.member("memory")) {
    constexpr std::int64_t least = 1024 * 1024;
    if (memory->value().is_string()) {
      const auto bytes = size_in_bytes(memory->view());
      if (!bytes) memory->fail("'" + memory->string() + "' is not a size", "write \"512MiB\" or \"2GiB\"");
      resources.memory_bytes = *bytes;
    } else {
      resources.memory_bytes = memory->integer(0, std::numeric_limits<std::int64_t>::max());
    }
    if (resources.memory_bytes < least) memory->fail("must be at least 1 MiB");
  }
  if (auto processes = reader.member("processes")) resources.processes = processes->integer(1, 4194304);
  return resources;
}

void refuse_unless_empty(const JsonReader& root, const char* key, const char* feature) {
  const auto reader = root.member(key);
  if (!reader) return;
  const auto& value = reader->value();
  const bool empty = value.is_null() || (value.is_array() && value.get_array().empty()) ||
                     (value.is_object() && value.get_object().empty());
  if (!empty) reader->fail(std::string(feature) + " not supported yet", std::string("remove '") + key + "'");
}

/// MCP servers are lists in an object: {"servers": [], "commands": []} asks for nothing either.
void refuse_mcp(const JsonReader& root) {
  const auto mcp = root.member("mcp");
  if (!mcp || !mcp->value().is_object()) return refuse_unless_empty(root, "mcp", "MCP servers are");
  bool empty = true;
  mcp->each_member([&](std::string_view, const JsonReader& list) {
    empty = empty && list.value().is_array() && list.value().get_array().empty();
  });
  if (!empty) refuse_unless_empty(root, "mcp", "MCP servers are");
}

std::string non_empty(const JsonReader& reader) {
  std::string text = reader.string();
  if (text.empty()) reader.fail("must not be empty");
  return text;
}

/// A path of `build`: relative ones are relative to the sources, not to where the user happens to be.
std::string source_relative(const JsonReader& reader, const PathVariables& variables, const std::string& from) {
  std::string text = non_empty(reader);
  if (text.front() != '/' && text.front() != '$') text = from + "/" + text;
  try {
    return expand_path(text, variables);
  } catch (const Error& error) {
    reader.fail(error.message(), error.hint());
  }
}

bool is_inside(const fs::path& inner, const fs::path& outer) {
  auto a = outer.begin();
  auto b = inner.begin();
  for (; a != outer.end() && b != inner.end() && *a == *b; ++a) ++b;
  return a == outer.end() || (a->empty() && std::next(a) == outer.end());
}

}  // namespace

std::string expand_path(const std::string& text, const PathVariables& variables) {
  if (text.empty()) throw Error(ErrorKind::refused, "must not be empty");
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) throw Error(ErrorKind::refused, "a control character in a path");
    if (c != '$' || i + 1 >= text.size() || (!is_name_character(text[i + 1]) && text[i + 1] != '{')) {
      result += c;
      continue;
    }
    std::size_t end = i + 1;
    while (end < text.size() && is_name_character(text[end])) ++end;
    const std::string name = text.substr(i + 1, end - i - 1);
    const bool at_start = i == 0 || text[i - 1] == '/';
    const bool at_end = end == text.size() || text[end] == '/';
    const std::string* value = name == "SOURCES" ? &variables.sources : name == "HOME" ? &variables.home : nullptr;
    if (value == nullptr || !at_start || !at_end)
      throw Error(ErrorKind::refused, "unknown variable in '" + text + "'", "only $SOURCES and $HOME, as a whole part of a path, are known");
    if (value->empty()) throw Error(ErrorKind::refused, "$" + name + " is used, but it is not set");
    result += *value;
    i = end - 1;
  }
  if (result.front() != '/')
    throw Error(ErrorKind::refused, "'" + text + "' is not an absolute path", "begin it with '/', $SOURCES or $HOME");
  std::string normal = fs::path(result).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  if (normal.compare(0, 2, "//") == 0) normal.erase(0, 1);
  return normal;
}

std::string Configuration::place(const std::vector<JsonStep>& way, JsonPlace where) const {
  return text.empty() ? file : place_in_json(text, file, way, where);
}

Configuration parse_configuration(std::string_view text, const std::string& file, const PathVariables& variables) {
  const JsonDocument document(text, file, ErrorKind::refused);
  const JsonReader root = document.root();
  root.known({"mounts", "environment", "ports", "network", "agent", "image", "build", "resources", "runtime_options", "mcp",
              "skills", "secrets", "features"});
  refuse_mcp(root);
  refuse_unless_empty(root, "skills", "skills are");
  refuse_unless_empty(root, "secrets", "secrets are");
  refuse_unless_empty(root, "features", "features are");

  Configuration configuration;
  configuration.file = file;
  if (auto mounts = root.member("mounts")) configuration.mounts = read_mounts(*mounts, variables);
  if (auto environment = root.member("environment")) configuration.environment = read_environment(*environment);
  if (auto ports = root.member("ports")) configuration.ports = read_ports(*ports);
  if (auto network = root.member("network")) configuration.network = read_network(*network);
  if (auto agent = root.member("agent")) configuration.agent = non_empty(*agent);
  if (auto image = root.member("image")) configuration.image = non_empty(*image);
  if (auto build = root.member("build")) {
    build->known({"context", "file"});
    if (configuration.image) build->fail("'image' and 'build' exclude each other");
    configuration.build_context = variables.sources;
    if (auto context = build->member("context")) configuration.build_context = source_relative(*context, variables, variables.sources);
    if (auto build_file = build->member("file"))
      configuration.build_file = source_relative(*build_file, variables, *configuration.build_context);
  }
  if (auto resources = root.member("resources")) configuration.resources = read_resources(*resources);
  if (auto options = root.member("runtime_options"))
    options->each_member([&](std::string_view key, const JsonReader& value) {
      const auto one = [&](const JsonReader& reader) {
        const auto& raw = reader.value();
        std::string shown;
        if (raw.is_bool()) shown = raw.get_bool() ? "true" : "false";
        else if (raw.is_int64()) shown = std::to_string(raw.get_int64());
        else if (raw.is_string()) shown = reader.string();
        else reader.fail("must be a string, an integer, true or false");
        configuration.runtime_options.emplace_back(std::string(key), std::move(shown));
      };
      if (value.value().is_array()) value.each(one);
      else one(value);
    });
  return configuration;
}

Configuration read_configuration(const fs::path& directory, const PathVariables& variables, ConfigurationPlace place) {
  const fs::path file = directory / "workspace.json";
  std::error_code error;
  const fs::path real = fs::canonical(file, error);
  if (error == std::errc::no_such_file_or_directory) {
    // A dangling link is not "no configuration": somebody meant one, and must not be run without its limits.
    if (fs::is_symlink(fs::symlink_status(file, error)) || fs::is_symlink(fs::symlink_status(directory, error)))
      throw Error(ErrorKind::refused, "cannot read '" + file.string() + "': the symbolic link leads nowhere");
    Configuration none;
    none.file = file.string();
    return none;
  }
  if (error) throw Error(ErrorKind::refused, "cannot read '" + file.string() + "': " + reason_of(error.value()));
  if (place == ConfigurationPlace::sources) {
    const fs::path sources = fs::canonical(variables.sources, error);
    if (error || !is_inside(real, sources))
      throw Error(ErrorKind::refused, "cannot read '" + file.string() + "': it is a symbolic link out of the sources, to '" + real.string() + "'",
                  "name its directory with --workspace-configuration if that is wanted");
  }
  std::string text;
  try {
    text = read_file(real, JsonDocument::max_size);
  } catch (const std::system_error& failure) {
    const std::string reason = failure.code() == std::errc::file_too_large ? "larger than 1 MiB" : unreadable_because(failure.code());
    throw Error(ErrorKind::refused, "cannot read '" + file.string() + "': " + reason);
  }
  Configuration configuration = parse_configuration(text, file.string(), variables);
  configuration.text = std::move(text);
  return configuration;
}

}  // namespace kortex::host
