#include "owner.hpp"

#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>

#include "files.hpp"

extern char** environ;

namespace kortex::microvm {

Owner owner_of(const Workspace& workspace) {
  Owner owner;
  owner.uid = ::geteuid();
  owner.gid = ::getegid();
  struct stat sources {};
  // Only root can work on other people's files.
  if (owner.uid == 0 && ::stat(workspace.source_path.c_str(), &sources) == 0) {
    owner.uid = sources.st_uid;
    owner.gid = sources.st_gid;
  }
  if (::geteuid() == 0 && workspace.uid >= 0) owner.uid = static_cast<uid_t>(workspace.uid);
  if (::geteuid() == 0 && workspace.gid >= 0) owner.gid = static_cast<gid_t>(workspace.gid);
  const passwd* user = ::getpwuid(owner.uid);
  owner.name = user != nullptr ? user->pw_name : "agent";
  const char* home = ::getenv("HOME");
  const passwd* own = ::getpwuid(::geteuid());
  owner.home = home != nullptr && *home == '/' ? home : own != nullptr && own->pw_dir != nullptr && *own->pw_dir == '/' ? own->pw_dir : "/home/agent";
  owner.home = normal(owner.home);
  if (owner.home == "/") owner.home = "/home/agent";
  return owner;
}

std::vector<std::string> agent_environment(const Ref& ref, const Workspace& workspace, const Owner& owner, const std::vector<std::string>& given) {
  std::map<std::string, std::string> variables;
  variables["HOME"] = owner.home;
  variables["USER"] = variables["LOGNAME"] = owner.name;
  variables["SHELL"] = "/bin/sh";
  variables["PATH"] = owner.home + "/.local/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  const char* terminal = ::getenv("TERM");
  variables["TERM"] = terminal == nullptr || *terminal == '\0' || std::strcmp(terminal, "dumb") == 0 ? "xterm-256color" : terminal;
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
  std::vector<std::string> out;
  for (const auto& [name, value] : variables) out.push_back(name + "=" + value);
  return out;
}

}  // namespace kortex::microvm
