#include "config/shared_keys.hpp"

#include <arpa/inet.h>

#include <set>

namespace kortex::host {

namespace {

std::string read_path(const JsonReader& reader, const PathVariables& variables) {
  try {
    return expand_path(reader.string(), variables);
  } catch (const Error& error) {
    reader.fail(error.message(), error.hint());
  }
}

bool is_variable_name(std::string_view name) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  for (const char c : name)
    if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
  return true;
}

bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, text.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

}  // namespace

std::vector<Mount> read_mounts(const JsonReader& reader, const PathVariables& variables) {
  std::vector<Mount> mounts;
  std::set<std::string> targets;
  reader.each([&](const JsonReader& element) {
    element.known({"host", "target", "ro", "optional"});
    const auto host = element.required("host");
    const auto target = element.required("target");
    Mount mount;
    mount.host = read_path(host, variables);
    mount.target = read_path(target, variables);
    if (auto ro = element.member("ro")) mount.read_only = ro->boolean();
    if (auto optional = element.member("optional")) mount.optional = optional->boolean();
    if (mount.target == "/") target.fail("cannot mount over '/'");
    if (!targets.insert(mount.target).second) target.fail("'" + mount.target + "' is mounted twice");
    mounts.push_back(std::move(mount));
  });
  return mounts;
}

std::vector<EnvironmentVariable> read_environment(const JsonReader& reader) {
  std::vector<EnvironmentVariable> variables;
  std::set<std::string> names;
  reader.each([&](const JsonReader& element) {
    element.known({"name", "value", "secret"});
    const auto name = element.required("name");
    EnvironmentVariable variable;
    variable.name = name.string();
    if (!is_variable_name(variable.name)) name.fail("'" + variable.name + "' is not a name for an environment variable");
    if (!names.insert(variable.name).second) name.fail("'" + variable.name + "' is set twice");
    if (auto secret = element.member("secret"))
      secret->fail("secrets are not supported yet", "give only the name to pass the variable on from your own environment");
    if (auto value = element.member("value")) variable.value = value->string();
    variables.push_back(std::move(variable));
  });
  return variables;
}

std::vector<Port> read_ports(const JsonReader& reader) {
  std::vector<Port> ports;
  std::set<std::uint16_t> targets;
  std::set<std::pair<std::string, std::uint16_t>> host_ports;
  reader.each([&](const JsonReader& element) {
    Port port;
    if (!element.value().is_object()) {
      port.target = static_cast<std::uint16_t>(element.integer(1, 65535));
    } else {
      element.known({"target", "host", "bind"});
      port.target = static_cast<std::uint16_t>(element.required("target").integer(1, 65535));
      if (auto host = element.member("host")) port.host_port = static_cast<std::uint16_t>(host->integer(1, 65535));
      if (auto bind = element.member("bind")) {
        port.bind = bind->string();
        if (!is_address(port.bind)) bind->fail("'" + port.bind + "' is not an IP address");
      }
    }
    if (!targets.insert(port.target).second) element.fail("port " + std::to_string(port.target) + " is listed twice");
    if (port.host_port != 0 && !host_ports.emplace(port.bind.empty() ? "127.0.0.1" : port.bind, port.host_port).second)
      element.fail("host port " + std::to_string(port.host_port) + " is used twice");
    ports.push_back(std::move(port));
  });
  return ports;
}

}  // namespace kortex::host
