#include "engine/plan.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace kortex::engine {
namespace {

namespace fs = std::filesystem;

std::string common_parent(const std::string& a, const std::string& b) {
  fs::path out;
  const fs::path left(a), right(b);
  for (auto l = left.begin(), r = right.begin(); l != left.end() && r != right.end() && *l == *r; ++l, ++r) out /= *l;
  return out.string();
}

std::string first_line_of(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
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

void make_directory(const std::string& path, const Identity& owner) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), "cannot make directory '" + path + "'");
  if (::geteuid() == 0 && ::lchown(path.c_str(), owner.host_uid, owner.host_gid) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot give directory '" + path + "' to user " + std::to_string(owner.host_uid));
}

}  // namespace

std::string home_of(const Places& places) { return places.home.empty() || places.home == "/" ? "/home/agent" : places.home; }

bool is_within(const std::string& inner, const std::string& outer) {
  if (inner == outer || outer == "/") return true;
  return inner.size() > outer.size() && inner.compare(0, outer.size(), outer) == 0 && inner[outer.size()] == '/';
}

std::string outside_git_directory(const std::string& sources) {
  constexpr const char* marker = "gitdir: ";
  const std::string line = first_line_of(sources + "/.git");
  if (line.rfind(marker, 0) != 0) return {};
  fs::path git(line.substr(std::string(marker).size()));
  if (git.is_relative()) git = fs::path(sources) / git;
  // A worktree's directory names the repository it belongs to in a file of its own; a submodule's has none.
  const std::string common = first_line_of((git / "commondir").string());
  if (!common.empty()) git = fs::path(common).is_absolute() ? fs::path(common) : git / common;
  std::error_code error;
  const std::string real = fs::canonical(git, error).string();
  return error || is_within(real, sources) ? std::string() : real;
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
  // Other workspaces' records are none of the agent's business, even when the store is among the sources.
  const std::string store = common_parent(places.state_dir, places.plugin_state_dir);
  if (store != workspace.source_path && is_within(store, workspace.source_path))
    out.mounts.push_back({"", workspace.target_path + store.substr(workspace.source_path.size()), false, false});

  const std::string git = outside_git_directory(workspace.source_path);
  if (!git.empty()) out.mounts.push_back({git, git, false, false});

  for (const Mount& mount : workspace.mounts) {
    struct stat ignored {};
    if (::stat(mount.host_path.c_str(), &ignored) != 0) {
      if (mount.optional) continue;
      throw Error(KORTEX_E_INVALID, "cannot mount '" + mount.host_path + "': " + std::generic_category().message(errno));
    }
    out.mounts.push_back(mount);
  }
  out.mounts.push_back({places.session_program, holder_program, true, false});
  out.mounts.push_back({places.state_dir + "/session", holder_directory, false, false});

  label(out, ref, workspace, plugin_version, home);
  if (!git.empty()) out.labels.emplace_back(label_git, git);
  out.relabel = first_line_of("/sys/fs/selinux/enforce") == "1";
  return out;
}

void prepare_directories(const Container& container, const Places& places) {
  make_directory(places.state_dir + "/session", container.identity);
  std::string home;
  for (const Mount& mount : container.mounts)
    if (mount.host_path == places.state_dir + "/home") home = mount.target;
  if (home.empty()) return;
  make_directory(places.state_dir + "/home", container.identity);
  // Mount points inside it would otherwise be made by the engine: root's, and an ordinary user could not remove them.
  for (const Mount& mount : container.mounts) {
    if (mount.target == home || !is_within(mount.target, home)) continue;
    const fs::path relative = fs::path(mount.target).lexically_relative(home);
    struct stat about {};
    const bool is_file = !mount.host_path.empty() && ::stat(mount.host_path.c_str(), &about) == 0 && !S_ISDIR(about.st_mode);
    fs::path at = places.state_dir + "/home";
    for (auto part = relative.begin(); part != relative.end(); ++part) {
      at /= *part;
      if (is_file && std::next(part) == relative.end())
        std::ofstream(at.string(), std::ios::app);
      else
        make_directory(at.string(), container.identity);
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
