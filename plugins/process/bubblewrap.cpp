#include "bubblewrap.hpp"

#include <unistd.h>

#include <cstdlib>
#include <sstream>

namespace kortex::process {

namespace {

constexpr const char* without =
    "install bubblewrap (apt-get install bubblewrap), or give '--runtime-option sandbox=none' to run the agent with all your rights";

bool installed(const std::string& program) {
  const char* path = ::getenv("PATH");
  std::istringstream places(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
  std::string place;
  while (std::getline(places, place, ':'))
    if (::access(((place.empty() ? "." : place) + "/" + program).c_str(), X_OK) == 0) return true;
  return false;
}

void require_installed() {
  if (!installed("bwrap")) throw Error(KORTEX_E_UNAVAILABLE, "cannot isolate the agent: 'bwrap' is not installed", without);
}

std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

void require_bubblewrap(const Call& call, NetworkOf network) {
  require_installed();
  Process process;
  process.argv = {"bwrap", "--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try",
                  "--cap-drop", "ALL", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"};
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

std::string bubblewrap_version(const Call& call) {
  require_installed();
  Process process;
  process.argv = {"bwrap", "--version"};
  return first_line(call.run(process).out);
}

}  // namespace kortex::process
