// workspace.json: an agent can write it.
#include "config/configuration.hpp"

#include <algorithm>

#include "invariant.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = kortex::fuzz::text_of(data, size);
  const auto is_normal = [](const std::string& path) {
    return path.compare(0, 1, "/") == 0 && path.find("//") == std::string::npos && (path + "/").find("/../") == std::string::npos;
  };
  try {
    Configuration configuration = parse_configuration(text, "w", {"/home/me/src", "/home/me"});
    for (const Mount& mount : configuration.mounts) {
      require(is_normal(mount.host) && is_normal(mount.target), "paths of mounts are absolute and normalized");
      require(mount.target != "/", "nothing is mounted over '/'");
    }
    for (const EnvironmentVariable& variable : configuration.environment)
      require(!variable.name.empty() && variable.name.find('=') == std::string::npos, "a variable has a name");
    for (const Port& port : configuration.ports) require(port.target != 0, "no port is 0");
    require(!configuration.build_context || is_normal(*configuration.build_context), "a context is absolute and normalized");
    configuration.text = text;
    for (const char* key : {"mounts", "ports", "runtime_options"})
      require(configuration.place({key, std::size_t{0}}, JsonPlace::value).compare(0, 2, "w:") == 0, "a place is one of the file");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::refused, "a broken configuration is refused");
    require(error.message().compare(0, 2, "w:") == 0, "a complaint says where");
  }
  return 0;
}
