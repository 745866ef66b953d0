#include "cli/locations.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "cli/output/text.hpp"
#include "system/error.hpp"

#ifndef KORTEX_INSTALL_LIBDIR
#define KORTEX_INSTALL_LIBDIR "lib"
#endif

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

/// The prefix that the binary is installed below, or empty.
fs::path prefix_of(const Environment& environment) {
  const std::string binary = environment.binary();
  return binary.empty() ? fs::path() : fs::path(binary).parent_path().parent_path();
}

/// Makes `directory`, and refuses one that somebody else made or can write to.
void claim_private_directory(const std::string& directory) {
  if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) return;
  struct stat found {};
  if (::lstat(directory.c_str(), &found) != 0) return;
  if (!S_ISDIR(found.st_mode) || found.st_uid != ::geteuid() || (found.st_mode & 077) != 0)
    throw Error(ErrorKind::refused, "cannot use " + in_quotes(directory) + ": it is not a directory of yours alone",
                "remove it, or set XDG_RUNTIME_DIR to a directory of yours");
}

}  // namespace

std::string home_directory(const Environment& environment) {
  const std::optional<std::string> home = environment.variable("HOME");
  return home && fs::path(*home).is_absolute() ? *home : std::string();
}

fs::path storage_directory(const Environment& environment, const std::optional<std::string>& flag) {
  std::optional<std::string> given = flag ? flag : environment.variable("KORTEX_CLI_STORAGE");
  if (given) {
    if (given->empty()) throw Error(ErrorKind::usage, "option '--storage' needs a directory");
    const fs::path path(*given);
    return (path.is_absolute() ? path : fs::path(environment.cwd()) / path).lexically_normal();
  }
  const std::string home = home_directory(environment);
  if (home.empty())
    throw Error(ErrorKind::failed, "cannot tell where workspaces are kept: HOME is not set",
                "name a directory with --storage or KORTEX_CLI_STORAGE");
  return fs::path(home) / ".kortex-cli";
}

std::string cache_directory(const Environment& environment, const std::string& runtime) {
  fs::path cache(environment.variable("XDG_CACHE_HOME").value_or(std::string()));
  if (!cache.is_absolute()) {
    const std::string home = home_directory(environment);
    if (home.empty()) return {};
    cache = fs::path(home) / ".cache";
  }
  return (cache / "kortex-cli" / "runtimes" / runtime).string();
}

std::string volatile_directory(const Environment& environment, const std::string& runtime) {
  std::string parent;
  const std::string given = environment.variable("XDG_RUNTIME_DIR").value_or(std::string());
  struct stat found {};
  if (fs::path(given).is_absolute() && ::stat(given.c_str(), &found) == 0 && S_ISDIR(found.st_mode) &&
      found.st_uid == ::geteuid())
    parent = given + "/kortex-cli";
  else
    parent = "/tmp/kortex-cli-" + std::to_string(::geteuid());
  claim_private_directory(parent);
  return parent + '/' + runtime;
}

fs::path user_runtime_directory(const Environment& environment) {
  const std::string home = home_directory(environment);
  if (home.empty()) throw Error(ErrorKind::failed, "cannot tell where your runtimes are kept: HOME is not set");
  return fs::path(home) / ".local/lib/kortex/runtimes";
}

std::vector<fs::path> pin_directories(const Environment& environment) {
  std::vector<fs::path> directories{"/etc/kortex/runtimes.d"};
  fs::path configuration(environment.variable("XDG_CONFIG_HOME").value_or(std::string()));
  const std::string home = home_directory(environment);
  if (!configuration.is_absolute() && !home.empty()) configuration = fs::path(home) / ".config";
  if (configuration.is_absolute()) directories.push_back(configuration / "kortex/runtimes.d");
  return directories;
}

std::string session_program(const Environment& environment) {
  const fs::path prefix = prefix_of(environment);
  if (prefix.empty()) return {};
  for (const char* directory : {"lib", KORTEX_INSTALL_LIBDIR}) {
    fs::path program = prefix / directory / "kortex" / "kortex-session";
    if (::access(program.c_str(), X_OK) == 0) return program.string();
  }
  return {};
}

std::vector<fs::path> agent_directories(const Environment& environment, const fs::path& store_agents) {
  std::vector<fs::path> directories;
  if (!store_agents.empty()) directories.push_back(store_agents);
  const fs::path prefix = prefix_of(environment);
  if (!prefix.empty()) directories.push_back(prefix / "share" / "kortex" / "agents");
  return directories;
}

}  // namespace kortex::host
