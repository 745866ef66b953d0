#include "sandbox_view.hpp"

#include <sys/stat.h>

#include <algorithm>

#include <kortex/runtime.hpp>

#include "paths.hpp"
#include "system_files.hpp"

namespace kortex::process {

namespace {

using Kind = Mounted::Kind;

std::string quoted(const std::string& text) { return "'" + text + "'"; }

bool is_symlink(const std::string& path) {
  struct stat status;
  return ::lstat(path.c_str(), &status) == 0 && S_ISLNK(status.st_mode);
}

std::size_t depth(const std::string& path) {
  return path == "/" ? 0 : static_cast<std::size_t>(std::count(path.begin(), path.end(), '/'));
}

std::string relative_to(const std::string& path, const std::string& directory) {
  if (directory == "/") return path;
  return path.substr(directory.size());
}

// The agent may have replaced a folder of its sources by a link to something it may not see, before this start.
void refuse_escaping_source(const std::string& host_path, const std::string& area) {
  if (lies_in(host_path, area) && !lies_in(resolved(host_path), resolved(area)))
    throw Error(KORTEX_E_PERMISSION, "cannot mount " + quoted(host_path) + ": it leads out of " + quoted(area) +
                                         " through a symbolic link that the agent could have made");
}

/// Whether there is a directory; a symbolic link's end is not known here.
std::optional<bool> shows_directory(const Mounted& mounted) {
  switch (mounted.kind) {
    case Kind::bind:
    case Kind::read_only_bind: return is_directory(mounted.source);
    case Kind::symlink: return std::nullopt;
    case Kind::directory:
    case Kind::scratch:
    case Kind::empty:
    case Kind::proc:
    case Kind::dev: break;
  }
  return true;
}

// A directory goes over a directory, a file over a file.
void check_kind(const Mounted& mounted, std::optional<bool> there) {
  const std::optional<bool> wanted = shows_directory(mounted);
  if (!there || !wanted || *there == *wanted) return;
  throw Error(KORTEX_E_INVALID, "cannot mount " + quoted(mounted.source) + " at " + quoted(mounted.target) + ": " +
                                    (*wanted ? "a directory cannot be mounted over a file" : "a file cannot be mounted over a directory"));
}

// bubblewrap makes missing mount points, following links; in a folder the agent writes, that must not
// lead elsewhere, and in a read-only one it cannot.
void check_mount_point(const Mounted& mounted, const std::vector<Mounted>& before) {
  const Mounted* below = nullptr;
  const Mounted* there = nullptr;
  for (const Mounted& other : before) {
    if (!lies_in(mounted.target, other.target)) continue;
    (other.target == mounted.target ? there : below) = &other;
  }
  if (there != nullptr) check_kind(mounted, shows_directory(*there));
  if (below == nullptr) return;
  if (shows_directory(*below) == false)
    throw Error(KORTEX_E_INVALID, "cannot mount anything at " + quoted(mounted.target) + ": " + quoted(below->target) + " is a file in the sandbox");
  const std::string inside = relative_to(mounted.target, below->target);
  const bool shows_host = below->kind == Kind::bind || below->kind == Kind::read_only_bind;
  if (there == nullptr && shows_host && exists(below->source + inside)) check_kind(mounted, is_directory(below->source + inside));
  if (below->kind == Kind::read_only_bind && !exists(below->source + inside))
    throw Error(KORTEX_E_INVALID, "cannot mount anything at " + quoted(mounted.target) + ": it does not exist and " +
                                      quoted(below->target) + " is read-only in the sandbox");
  if (below->kind != Kind::bind) return;
  for (std::size_t end = inside.find('/', 1);; end = inside.find('/', end + 1)) {
    const std::string part = below->source + inside.substr(0, end);
    if (is_symlink(part))
      throw Error(KORTEX_E_PERMISSION, "cannot mount anything at " + quoted(mounted.target) + ": " + quoted(part) +
                                           " is a symbolic link");
    if (end == std::string::npos) break;
  }
}

/// The folders that hold other workspaces' state.
std::vector<std::string> private_places(const HostPlaces& places) {
  std::vector<std::string> found;
  const std::string plugin = resolved(places.plugin_dir);
  if (places.state_dir.empty()) return {plugin};
  const std::string state = resolved(places.state_dir);
  // Both lie in the store, whose other folders are as private: <store>/workspaces/…, <store>/runtimes/….
  std::size_t common = 0;
  for (std::size_t at = 0; at < plugin.size() && at < state.size() && plugin[at] == state[at]; ++at)
    if (plugin[at] == '/') common = at;
  if (common > 0) found.push_back(plugin.substr(0, common));
  found.push_back(plugin);
  found.push_back(state);
  return found;
}

void hide_private_places(const Mounted& mounted, const std::vector<std::string>& places, std::vector<Mounted>& view) {
  const std::string source = resolved(mounted.source);
  std::vector<std::string> hidden;
  for (const std::string& place : places) {
    if (!lies_in(place, source) || place == source) continue;
    if (std::any_of(hidden.begin(), hidden.end(), [&](const std::string& outer) { return lies_in(place, outer); })) continue;
    hidden.push_back(place);
    view.push_back({Kind::empty, "", normal(mounted.target + relative_to(place, source))});
  }
}

}  // namespace

std::optional<std::string> worktree_repository(const std::string& sources) {
  std::string text = contents(sources + "/.git", 8192);
  const std::string prefix = "gitdir: ";
  if (text.compare(0, prefix.size(), prefix) != 0) return {};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  std::string named = text.substr(prefix.size());
  if (named.empty()) return {};
  if (named.front() != '/') named = sources + "/" + named;
  const std::string own = resolved(named);
  const std::string real_sources = resolved(sources);
  if (lies_in(own, real_sources)) return {};
  // <repository>/worktrees/<name>, and it must point back at this very .git file.
  const std::size_t name_at = own.rfind('/');
  const std::string worktrees = own.substr(0, name_at);
  if (worktrees.size() < 10 || worktrees.compare(worktrees.size() - 10, 10, "/worktrees") != 0) return {};
  std::string back = contents(own + "/gitdir", 8192);
  while (!back.empty() && (back.back() == '\n' || back.back() == '\r')) back.pop_back();
  if (!back.empty() && back.front() != '/') back = own + "/" + back;
  if (back.empty() || resolved(back) != real_sources + "/.git") return {};
  const std::string repository = worktrees.substr(0, worktrees.size() - 10);
  if (!exists(repository + "/HEAD") || !is_directory(repository + "/objects") || !is_directory(repository + "/refs")) return {};
  return repository;
}

void check_mount_targets(const kortex_workspace& workspace) {
  for (std::uint32_t i = 0; i < workspace.mount_count; ++i) {
    const std::string at = normal(workspace.mounts[i]->target);
    const std::string what = "cannot mount " + quoted(normal(workspace.mounts[i]->host_path)) + " at " + quoted(at) + ": ";
    for (const char* own : {"/proc", "/dev", "/run/kortex"})
      if (lies_in(at, own)) throw Error(KORTEX_E_INVALID, what + quoted(own) + " is the sandbox's own");
    for (const char* needed : {"/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/dev", "/run/kortex"})
      if (lies_in(needed, at)) throw Error(KORTEX_E_INVALID, what + "it would hide " + quoted(needed) + ", which the sandbox needs");
    for (const char* link : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/var/run"}) {
      if (!lies_in(at, link)) continue;
      const std::string real = link == std::string("/var/run") ? "/run" : resolved(link);
      if (real != link)
        throw Error(KORTEX_E_INVALID, what + quoted(link) + " is a symbolic link to " + quoted(real) + " in the sandbox",
                    "mount it at " + quoted(real + relative_to(at, link)));
    }
  }
}

std::vector<Mounted> sandbox_view(const kortex_workspace& workspace, const HostPlaces& places) {
  const std::string sources = normal(workspace.source_path);
  const std::string target = normal(workspace.target_path);
  if (sources == "/" || target == "/")
    throw Error(KORTEX_E_INVALID, "cannot use '/' as the sources: nothing would be kept from the agent");
  if (!is_directory(sources)) throw Error(KORTEX_E_INVALID, "cannot read the sources " + quoted(sources) + ": no such directory");
  const std::vector<std::string> hidden = private_places(places);
  if (lies_in(resolved(sources), resolved(places.state_dir)) ||
      std::find(hidden.begin(), hidden.end(), resolved(sources)) != hidden.end())
    throw Error(KORTEX_E_INVALID, "cannot use " + quoted(sources) + " as the sources: it is the store of all workspaces");

  check_mount_targets(workspace);
  std::vector<Mounted> own;
  // Not a link from one to the other: sources, mounts or a home may lie in either, and nothing can be mounted through a link.
  for (const char* temporary : {"/tmp", "/var/tmp"}) own.push_back({Kind::bind, places.state_dir + "/tmp", temporary});
  const std::string home = normal(places.home);
  if (home != target && home != "/") own.push_back({Kind::bind, places.state_dir + "/home", home});
  own.push_back({Kind::bind, sources, target});
  if (const auto repository = worktree_repository(sources)) own.push_back({Kind::bind, *repository, *repository});
  std::vector<std::string> writable{sources};
  for (std::uint32_t i = 0; i < workspace.mount_count; ++i) {
    const kortex_mount& mount = *workspace.mounts[i];
    const std::string path = normal(mount.host_path), at = normal(mount.target);
    if (!exists(path)) {
      if ((mount.flags & KORTEX_MOUNT_OPTIONAL) != 0) continue;
      throw Error(KORTEX_E_INVALID, "cannot mount " + quoted(path) + ": no such file or directory");
    }
    const bool read_only = (mount.flags & KORTEX_MOUNT_READ_ONLY) != 0;
    if (!read_only) writable.push_back(path);
    own.push_back({read_only ? Kind::read_only_bind : Kind::bind, path, at});
  }
  for (std::uint32_t i = 0; i < workspace.mount_count; ++i)
    for (const std::string& area : writable) {
      const std::string path = normal(workspace.mounts[i]->host_path);
      if (path != area) refuse_escaping_source(path, area);
    }
  for (std::size_t i = 0, count = own.size(); i < count; ++i) {
    const Mounted mounted = own[i];
    if (!lies_in(mounted.source, places.state_dir)) hide_private_places(mounted, hidden, own);
  }
  const bool open_etc = std::any_of(own.begin(), own.end(), [&](const Mounted& mounted) {
    return mounted.target != "/etc" && lies_in(mounted.target, "/etc") && !exists(places.etc + relative_to(mounted.target, "/etc"));
  });
  std::vector<Mounted> view = system_files(places.etc, open_etc);
  if (!places.session_program.empty())
    view.push_back({Kind::read_only_bind, places.session_program, holder_in_sandbox});
  std::stable_sort(own.begin(), own.end(),
                   [](const Mounted& left, const Mounted& right) { return depth(left.target) < depth(right.target); });
  for (const Mounted& mounted : own) {
    check_mount_point(mounted, view);
    view.push_back(mounted);
  }
  return view;
}

void append_mounts(std::vector<std::string>& arguments, const std::vector<Mounted>& view) {
  const auto add = [&arguments](const char* option, const std::string& source, const std::string& target) {
    arguments.emplace_back(option);
    if (!source.empty()) arguments.push_back(source);
    arguments.push_back(target);
  };
  for (const Mounted& mounted : view) {
    switch (mounted.kind) {
      case Kind::bind: add("--bind", mounted.source, mounted.target); break;
      case Kind::read_only_bind: add("--ro-bind", mounted.source, mounted.target); break;
      case Kind::symlink: add("--symlink", mounted.source, mounted.target); break;
      case Kind::directory: add("--dir", "", mounted.target); break;
      case Kind::scratch: add("--tmpfs", "", mounted.target); break;
      case Kind::proc: add("--proc", "", mounted.target); break;
      case Kind::dev: add("--dev", "", mounted.target); break;
      case Kind::empty:
        add("--tmpfs", "", mounted.target);
        add("--remount-ro", "", mounted.target);
        break;
    }
  }
}

std::vector<std::string> sandbox_command(const std::vector<Mounted>& view, const kortex_workspace& workspace, bool filtered) {
  // No --die-with-parent: whoever starts an instance is gone a moment later. No --new-session: the holder
  // makes its own. No --hostname: the machine's own name is the one that /etc/hosts resolves.
  std::vector<std::string> arguments{"--unshare-user", "--disable-userns", "--unshare-pid",        "--as-pid-1", "--unshare-ipc",
               "--unshare-uts",  "--cap-drop",       "ALL", "--unshare-cgroup-try"};
  if (workspace.network == KORTEX_NETWORK_DENY) arguments.emplace_back("--unshare-net");
  if (filtered) arguments.insert(arguments.end(), {"--seccomp", std::to_string(filter_descriptor)});
  append_mounts(arguments, view);
  arguments.insert(arguments.end(), {"--remount-ro", "/", "--chdir", normal(workspace.target_path), "--"});
  return arguments;
}

std::vector<std::string> exposure(const kortex_workspace& workspace, const HostPlaces& places) {
  const std::string sources = normal(workspace.source_path);
  std::vector<std::string> said;
  said.push_back("the sources " + quoted(sources) + ", read and write, with their .git directory: hooks it leaves there run when you use git");
  if (const auto repository = worktree_repository(sources))
    said.push_back("the main repository " + quoted(*repository) + " of this git worktree, read and write");
  const std::string real = resolved(sources);
  if (lies_in(resolved(places.home), real))
    said.push_back("your whole home directory, keys and credentials included, because the sources contain it");
  if (lies_in(resolved(places.plugin_dir), real))
    said.push_back("not the store of workspaces, though the sources contain it: the agent sees an empty directory there");
  for (std::uint32_t i = 0; i < workspace.mount_count; ++i) {
    const kortex_mount& mount = *workspace.mounts[i];
    const std::string path = normal(mount.host_path);
    if (exists(path) && lies_in(resolved(places.home), resolved(path)))
      said.push_back("your whole home directory, keys and credentials included, because " + quoted(path) + " is mounted");
    said.push_back(quoted(path) +
                   ((mount.flags & KORTEX_MOUNT_READ_ONLY) != 0 ? ", read only" : ", read and write") + ", mounted at " +
                   quoted(normal(mount.target)));
  }
  said.emplace_back("the installed programs (/usr, /opt) and public files of /etc, read only");
  said.emplace_back("the host's kernel");
  if (workspace.network == KORTEX_NETWORK_ALLOW) {
    said.emplace_back("the host's network, its loopback and abstract unix sockets included");
    for (std::uint32_t i = 0; i < workspace.port_count; ++i)
      said.push_back("port " + std::to_string(workspace.ports[i]->target) + " of the host is the agent's");
  }
  return said;
}

}  // namespace kortex::process
