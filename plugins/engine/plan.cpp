#include "engine/plan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string_view>
#include <system_error>

#include <kortex/fd.hpp>

namespace kortex::engine {
namespace {

namespace fs = std::filesystem;

std::string common_parent(const std::string& a, const std::string& b) {
  fs::path out;
  const fs::path left(a), right(b);
  for (auto l = left.begin(), r = right.begin(); l != left.end() && r != right.end() && *l == *r; ++l, ++r) out /= *l;
  return out.string();
}

/// Of a file that the agent may have replaced by anything: nothing is waited for, and not more is read than such files have.
std::string beginning_of(const std::string& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat about {};
  if (!fd || ::fstat(fd.get(), &about) != 0 || !S_ISREG(about.st_mode)) return {};
  std::string text(16384, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

std::string first_line_of(const std::string& file) {
  const std::string text = beginning_of(file);
  return text.substr(0, text.find_first_of("\r\n"));
}

/// Where a submodule's git directory says that its files are; "": it is none.
std::string submodule_folder(const std::string& config) {
  std::istringstream lines(beginning_of(config));
  for (std::string line; std::getline(lines, line);) {
    const auto key = line.find_first_not_of(" \t"), equals = line.find('=');
    if (key == std::string::npos || equals == std::string::npos || line.compare(key, 8, "worktree") != 0) continue;
    const auto value = line.find_first_not_of(" \t\"", equals + 1), end = line.find_last_not_of(" \t\r\"");
    if (value != std::string::npos) return line.substr(value, end + 1 - value);
  }
  return {};
}

/// "": there is no such thing.
std::string real_path(const fs::path& path) {
  std::error_code error;
  const fs::path real = fs::canonical(path, error);
  return error ? std::string() : real.string();
}

/// What is left of the user's name as a host name.
std::string hostname_of(const std::string& name) {
  std::string out;
  for (const char c : name) {
    const char lower = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if ((lower >= 'a' && lower <= 'z') || (lower >= '0' && lower <= '9'))
      out += lower;
    else if (!out.empty() && out.back() != '-')
      out += '-';
    if (out.size() == 63) break;
  }
  while (!out.empty() && out.back() == '-') out.pop_back();
  return out.empty() ? "kortex" : out;
}

[[noreturn]] void fail_to_make(const std::string& path) {
  throw std::system_error(errno, std::generic_category(), "cannot make '" + path + "'");
}

/// `name` in `parent`, made if need be and given to the owner. Never through a link: in its home the agent may have made one,
/// and what lies behind it would become the agent's.
Fd directory_in(const Fd& parent, const std::string& name, const std::string& path, const Identity& owner) {
  if (::mkdirat(parent.get(), name.c_str(), 0700) != 0 && errno != EEXIST) fail_to_make(path);
  Fd made(::openat(parent.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) fail_to_make(path);
  if (::geteuid() == 0 && ::fchown(made.get(), owner.host_uid, owner.host_gid) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot give directory '" + path + "' to user " + std::to_string(owner.host_uid));
  return made;
}

void file_in(const Fd& parent, const std::string& name, const std::string& path) {
  const Fd made(::openat(parent.get(), name.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0644));
  if (!made && errno != EACCES) fail_to_make(path);  // one without permissions is there, and that is enough
}

}  // namespace

std::string home_of(const Places& places) { return places.home.empty() || places.home == "/" ? "/home/agent" : places.home; }

bool is_within(const std::string& inner, const std::string& outer) {
  if (inner == outer || outer == "/") return true;
  return inner.size() > outer.size() && inner.compare(0, outer.size(), outer) == 0 && inner[outer.size()] == '/';
}

std::string outside_git_directory(const std::string& sources) {
  constexpr std::string_view marker = "gitdir: ";
  const std::string line = first_line_of(sources + "/.git");
  if (line.compare(0, marker.size(), marker) != 0) return {};
  fs::path named(line.substr(marker.size()));
  if (named.is_relative()) named = fs::path(sources) / named;
  const std::string own = real_path(named), here = real_path(sources);
  if (own.empty() || here.empty() || is_within(own, here)) return {};
  // The agent can write `.git`, and name what it would like to see: only what names these sources as well is theirs.
  const auto leads_to = [&own](const std::string& text, const std::string& place) {
    return !text.empty() && real_path(text.front() == '/' ? fs::path(text) : fs::path(own) / text) == place;
  };
  std::string repository;
  if (const fs::path worktrees = fs::path(own).parent_path(); worktrees.filename() == "worktrees" && leads_to(first_line_of(own + "/gitdir"), here + "/.git"))
    repository = worktrees.parent_path().string();
  else if (leads_to(submodule_folder(own + "/config"), here))
    repository = own;
  std::error_code error;
  const bool whole = !repository.empty() && fs::exists(repository + "/HEAD", error) && fs::is_directory(repository + "/objects", error) &&
                     fs::is_directory(repository + "/refs", error);
  return whole ? repository : std::string();
}

Container basic_plan(const Ref& ref, const Workspace& workspace, const std::string& session_program, const Identity& identity, const std::string& image) {
  if (workspace.target_path.empty() || workspace.target_path == "/" || workspace.source_path == "/")
    throw Error(KORTEX_E_INVALID, "cannot create '" + std::string(ref.name()) + "': '/' cannot be the sources of a container");
  if (session_program.empty())
    throw Error(KORTEX_E_UNAVAILABLE, "cannot create '" + std::string(ref.name()) + "': the session holder 'kortex-session' is not installed");
  if (workspace.network_denied && !workspace.ports.empty())
    throw Error(KORTEX_E_INVALID, "cannot create '" + std::string(ref.name()) + "': ports cannot be reached with network mode 'deny'");
  if (!workspace.allowed_hosts.empty())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot create '" + std::string(ref.name()) + "': network mode 'deny' cannot leave single hosts reachable");

  Container out;
  out.name = ref.key();
  out.image = image;
  out.hostname = hostname_of(ref.name());
  out.directory = workspace.target_path;
  out.identity = identity;
  out.ports = workspace.ports;
  out.network = !workspace.network_denied;
  out.cpus_milli = workspace.cpus_milli;
  out.memory_bytes = workspace.memory_bytes;
  out.processes = workspace.processes;
  return out;
}

void label(Container& container, const Ref& ref, const Workspace& workspace, const std::string& plugin_version, const std::string& home) {
  container.labels = workspace.labels;
  container.labels.emplace_back(label_key, ref.key());
  container.labels.emplace_back(label_name, ref.name());
  container.labels.emplace_back(label_version, plugin_version);
  container.labels.emplace_back(label_home, home);
}

Container plan(const Ref& ref, const Workspace& workspace, const Places& places, const Identity& identity, const std::string& image,
               const std::string& plugin_version) {
  Container out = basic_plan(ref, workspace, places.session_program, identity, image);

  // The agent's home keeps what it writes there. Root's home is the image's own, with the tools it brings;
  // a home among the sources is there already.
  const std::string home = home_of(places);
  const bool is_images_own = identity.uid == 0 && home == "/root";
  if (!is_images_own && !is_within(home, workspace.target_path))
    out.mounts.push_back({places.state_dir + "/home", home, false, false});

  out.mounts.push_back({workspace.source_path, workspace.target_path, false, false});
  // Other workspaces' records are none of the agent's business, even when the store is among the sources or what is mounted.
  const std::string store = common_parent(places.state_dir, places.plugin_state_dir);
  const auto hide_store = [&](const std::string& shown, const std::string& at) {
    if (store == shown || !is_within(store, shown)) return;
    const std::string target = at + (shown == "/" ? store : store.substr(shown.size()));
    out.mounts.push_back({"", target, false, false});
  };
  hide_store(workspace.source_path, workspace.target_path);

  const std::string git = outside_git_directory(workspace.source_path);
  if (!git.empty()) out.mounts.push_back({git, git, false, false});

  for (const Mount& mount : workspace.mounts) {
    struct stat ignored {};
    if (::stat(mount.host_path.c_str(), &ignored) != 0) {
      if (mount.optional) continue;
      throw Error(KORTEX_E_INVALID, "cannot mount '" + mount.host_path + "': " + std::generic_category().message(errno));
    }
    out.mounts.push_back(mount);
    hide_store(mount.host_path, mount.target);
  }
  out.mounts.push_back({places.session_program, holder_program, true, false});
  out.mounts.push_back({places.state_dir + "/session", holder_directory, false, false});

  label(out, ref, workspace, plugin_version, home);
  if (!git.empty()) out.labels.emplace_back(label_git, git);
  out.relabel = first_line_of("/sys/fs/selinux/enforce") == "1";
  return out;
}

void prepare_directories(const Container& container, const Places& places) {
  const Fd state(::open(places.state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!state) fail_to_make(places.state_dir + "/session");
  (void)directory_in(state, "session", places.state_dir + "/session", container.identity);
  const std::string own_home = places.state_dir + "/home";
  std::string home;
  for (const Mount& mount : container.mounts)
    if (mount.host_path == own_home) home = mount.target;
  if (home.empty()) return;
  const Fd top = directory_in(state, "home", own_home, container.identity);
  // Mount points inside it would otherwise be made by the engine: root's, and an ordinary user could not remove them.
  for (const Mount& mount : container.mounts) {
    if (mount.target == home || !is_within(mount.target, home)) continue;
    const fs::path relative = fs::path(mount.target).lexically_relative(home);
    struct stat about {};
    const bool is_file = !mount.host_path.empty() && ::stat(mount.host_path.c_str(), &about) == 0 && !S_ISDIR(about.st_mode);
    Fd at(::fcntl(top.get(), F_DUPFD_CLOEXEC, 0));
    if (!at) fail_to_make(own_home);
    fs::path path = own_home;
    for (auto part = relative.begin(); part != relative.end(); ++part) {
      path /= *part;
      if (is_file && std::next(part) == relative.end())
        file_in(at, part->string(), path.string());
      else
        at = directory_in(at, part->string(), path.string(), container.identity);
    }
  }
}

std::vector<std::string> agent_environment(const json::value& image_env, const std::string& home, const std::string& name,
                                           const std::vector<std::string>& given) {
  std::vector<std::string> out;
  const auto key_of = [](std::string_view entry) { return entry.substr(0, entry.find('=')); };
  const auto set = [&](std::string entry, bool replace) {
    const auto at = std::find_if(out.begin(), out.end(), [&](const std::string& old) { return key_of(old) == key_of(entry); });
    if (at == out.end())
      out.push_back(std::move(entry));
    else if (replace)
      *at = std::move(entry);
  };
  if (image_env.is_array())
    for (const json::value& entry : image_env.get_array())
      if (entry.is_string()) set(std::string(entry.get_string()), true);
  set("HOME=" + home, true);
  set("KORTEX_WORKSPACE=" + name, true);
  const char* term = std::getenv("TERM");
  set(std::string("TERM=") + (term != nullptr && *term != '\0' ? term : "xterm-256color"), true);
  set("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", false);
  for (const char* passed : {"LANG", "COLORTERM", "TZ"})
    if (const char* value = std::getenv(passed); value != nullptr && *value != '\0') set(std::string(passed) + "=" + value, false);
  for (const std::string& entry : given) set(entry, true);
  return out;
}

json::object docker_body(const Container& container) {
  const Identity& who = container.identity;
  json::object labels, exposed, bindings;
  for (const auto& [key, value] : container.labels) labels[key] = value;
  json::array mounts, binds;
  for (const Mount& mount : container.mounts) {
    if (mount.host_path.empty()) {
      mounts.push_back(json::object{{"Type", "tmpfs"}, {"Target", mount.target}});
    } else if (container.relabel) {
      // Only this older form knows SELinux labels; it has ':' between its parts.
      if (mount.host_path.find(':') != std::string::npos || mount.target.find(':') != std::string::npos)
        throw Error(KORTEX_E_UNSUPPORTED, "cannot mount '" + mount.host_path + "': docker cannot relabel a path with ':' for SELinux");
      binds.emplace_back(mount.host_path + ":" + mount.target + (mount.read_only ? ":ro,z" : ":z"));
    } else {
      mounts.push_back(json::object{{"Type", "bind"}, {"Source", mount.host_path}, {"Target", mount.target}, {"ReadOnly", mount.read_only}});
    }
  }
  for (const Port& port : container.ports) {
    const std::string name = std::to_string(port.target) + "/tcp";
    exposed[name] = json::object();
    if (!bindings.contains(name)) bindings[name] = json::array();
    bindings[name].as_array().push_back(
        json::object{{"HostIp", port.bind}, {"HostPort", port.host_port == 0 ? std::string() : std::to_string(port.host_port)}});
  }
  json::object host{{"Mounts", std::move(mounts)},
                    {"Binds", std::move(binds)},
                    {"PortBindings", std::move(bindings)},
                    {"SecurityOpt", json::array{"no-new-privileges"}},
                    {"RestartPolicy", json::object{{"Name", "no"}}}};
  if (!container.network) host["NetworkMode"] = "none";
  if (!who.user_namespace.empty()) host["UsernsMode"] = who.user_namespace;
  if (container.cpus_milli > 0) host["NanoCpus"] = container.cpus_milli * 1000000;
  if (container.memory_bytes > 0) {
    host["Memory"] = container.memory_bytes;
    host["MemorySwap"] = container.memory_bytes;
  }
  if (container.processes > 0) host["PidsLimit"] = container.processes;
  return {{"Image", container.image},
          {"Entrypoint", json::array{holder_program}},
          {"Cmd", json::array{"serve", "--dir", holder_directory}},
          {"User", std::to_string(who.uid) + ":" + std::to_string(who.gid)},
          {"WorkingDir", container.directory},
          {"Hostname", container.hostname},
          {"Labels", std::move(labels)},
          {"ExposedPorts", std::move(exposed)},
          {"Healthcheck", json::object{{"Test", json::array{"NONE"}}}},
          {"StopSignal", "SIGTERM"},
          {"HostConfig", std::move(host)}};
}

json::object libpod_body(const Container& container) {
  const Identity& who = container.identity;
  json::object labels, limits;
  for (const auto& [key, value] : container.labels) labels[key] = value;
  json::array mounts, ports;
  for (const Mount& mount : container.mounts) {
    if (mount.host_path.empty()) {
      mounts.push_back(json::object{{"type", "tmpfs"}, {"source", "tmpfs"}, {"destination", mount.target}});
      continue;
    }
    json::array options{"rbind", mount.read_only ? "ro" : "rw"};
    if (container.relabel) options.emplace_back("z");
    mounts.push_back(json::object{
        {"type", "bind"}, {"source", mount.host_path}, {"destination", mount.target}, {"options", std::move(options)}});
  }
  for (const Port& port : container.ports)
    ports.push_back(json::object{
        {"container_port", port.target}, {"host_port", port.host_port}, {"host_ip", port.bind}, {"protocol", "tcp"}});
  json::object body{{"name", container.name},
                    {"image", container.image},
                    {"entrypoint", json::array{holder_program}},
                    {"command", json::array{"serve", "--dir", holder_directory}},
                    {"user", std::to_string(who.uid) + ":" + std::to_string(who.gid)},
                    {"work_dir", container.directory},
                    {"hostname", container.hostname},
                    {"labels", std::move(labels)},
                    {"mounts", std::move(mounts)},
                    {"healthconfig", json::object{{"Test", json::array{"NONE"}}}},
                    {"stop_signal", 15},
                    {"no_new_privileges", true}};
  if (!ports.empty()) body["portmappings"] = std::move(ports);
  if (!container.network) body["netns"] = json::object{{"nsmode", "none"}};
  if (!who.user_namespace.empty()) body["userns"] = json::object{{"nsmode", who.user_namespace}};
  if (container.cpus_milli > 0) limits["cpu"] = json::object{{"period", 100000}, {"quota", container.cpus_milli * 100}};
  if (container.memory_bytes > 0) limits["memory"] = json::object{{"limit", container.memory_bytes}, {"swap", container.memory_bytes}};
  if (container.processes > 0) limits["pids"] = json::object{{"limit", container.processes}};
  if (!limits.empty()) body["resource_limits"] = std::move(limits);
  return body;
}

}  // namespace kortex::engine
