#include "bubblewrap.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "instance_files.hpp"
#include "sandbox_view.hpp"
#include "system_files.hpp"

namespace kortex::process {

namespace {

constexpr const char* without =
    "install bubblewrap (apt-get install bubblewrap), or give '--runtime-option sandbox=none' to run the agent with all your rights";

/// Where PATH finds it; "": nowhere.
std::string found(const std::string& program) {
  const char* path = ::getenv("PATH");
  std::istringstream places(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  std::string place;
  while (std::getline(places, place, ':')) {
    std::string file = (place.empty() ? "." : place) + "/" + program;
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  return {};
}

std::string require_installed() {
  std::string program = found("bwrap");
  if (program.empty()) throw Error(KORTEX_E_UNAVAILABLE, "cannot isolate the agent: 'bwrap' is not installed", without);
  return program;
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

/// This file, as it is now, for this user, since the machine started.
std::string identity_of(const std::string& program) {
  struct stat status {};
  if (::stat(program.c_str(), &status) != 0) return {};
  std::ostringstream text;
  text << boot_id() << ' ' << ::geteuid() << ' ' << program << ' ' << status.st_dev << ' ' << status.st_ino << ' ' << status.st_size << ' '
       << status.st_ctim.tv_sec << '.' << status.st_ctim.tv_nsec;
  return text.str();
}

std::string read_line(const std::string& file) {
  std::ifstream stream(file);
  std::string line;
  std::getline(stream, line);
  return line;
}

}  // namespace

void require_bubblewrap(const Call& call, NetworkOf network) {
  (void)require_installed();
  Process process;
  process.argv = {"bwrap", "--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
                  "--cap-drop", "ALL"};
  // What every sandbox shows, and not all of this machine: mounts that come and go, like those of containers, would make it fail.
  append_mounts(process.argv, system_files("/etc", false));
  if (network == NetworkOf::own) process.argv.emplace_back("--unshare-net");
  process.argv.insert(process.argv.end(), {"--", "/usr/bin/env", "true"});
  const ProcessResult result = call.run(process);
  if (result.exit_code == 0) return;
  const std::string reason = first_line(result.err);
  if (reason.find("--disable-userns") != std::string::npos)
    throw Error(KORTEX_E_UNAVAILABLE, "cannot isolate the agent: this bubblewrap is older than 0.8.0", without, result.err);
  throw Error(KORTEX_E_UNAVAILABLE,
              "cannot isolate the agent: bubblewrap cannot make a sandbox on this machine" + (reason.empty() ? "" : " (" + reason + ")"),
              "allow user namespaces for this user, or give '--runtime-option sandbox=none' to run the agent with all your rights",
              result.err);
}

void require_bubblewrap_once(const Call& call, NetworkOf network, const std::string& runtime_dir) {
  const std::string identity = identity_of(require_installed());
  const std::string file = runtime_dir + (network == NetworkOf::own ? "/bubblewrap-own-network" : "/bubblewrap");
  if (!identity.empty() && read_line(file) == identity) return;
  require_bubblewrap(call, network);
  try {
    replace_file(file, identity + "\n");
  } catch (const std::exception&) {
    // Then the next one proves it again.
  }
}

std::string bubblewrap_version(const Call& call) {
  (void)require_installed();
  Process process;
  process.argv = {"bwrap", "--version"};
  return first_line(call.run(process).out);
}

}  // namespace kortex::process
