#include "environment.hpp"

#include <pwd.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>

extern char** environ;

namespace kortex::process {

namespace {

std::string own_environment(const char* name) { return kortex::detail::or_empty(::getenv(name)); }

}  // namespace

std::string home_directory() {
  std::string home = own_environment("HOME");
  if (!home.empty() && home.front() == '/') return home;
  const passwd* user = ::getpwuid(::geteuid());
  return user != nullptr && user->pw_dir != nullptr && user->pw_dir[0] == '/' ? user->pw_dir : "/";
}

std::string instance_marker(const std::string& key) { return "KORTEX_INSTANCE=" + key; }

std::vector<std::string> agent_environment(const Ref& ref, const Workspace& workspace, bool sandboxed,
                                           const std::vector<std::string>& given) {
  std::map<std::string, std::string> variables;
  const std::string home = home_directory();
  const passwd* user = ::getpwuid(::geteuid());
  variables["HOME"] = home;
  variables["USER"] = variables["LOGNAME"] = user != nullptr ? user->pw_name : std::to_string(::geteuid());
  // The user's own shell may be installed in a home that the sandbox does not show.
  variables["SHELL"] = ::access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
  const std::string system_path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  // Without a sandbox the agent sees what the user sees, so it finds what the user finds.
  const std::string own_path = sandboxed ? std::string() : own_environment("PATH");
  variables["PATH"] = own_path.empty() ? home + "/.local/bin:" + system_path : own_path;
  const std::string terminal = own_environment("TERM");
  variables["TERM"] = terminal.empty() || terminal == "dumb" ? "xterm-256color" : terminal;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const char* equals = std::strchr(*entry, '=');
    if (equals == nullptr) continue;
    const std::string name(*entry, static_cast<std::size_t>(equals - *entry));
    if (name == "LANG" || name == "TZ" || name == "COLORTERM" || name.compare(0, 3, "LC_") == 0) variables[name] = equals + 1;
  }
  variables["PWD"] = workspace.target_path;
  variables["KORTEX_WORKSPACE"] = ref.name();
  for (const std::string& entry : given) {
    const std::size_t equals = entry.find('=');
    if (equals != std::string::npos) variables[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  // Last: by it stop() finds what escaped; an environment of the user's must not hide it.
  variables["KORTEX_INSTANCE"] = ref.key();
  std::vector<std::string> out;
  out.reserve(variables.size());
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

}  // namespace kortex::process
