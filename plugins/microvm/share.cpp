#include "share.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <string_view>

#include "files.hpp"

namespace kortex::microvm {

namespace {

namespace fs = std::filesystem;

constexpr const char* tree = shared_tree;

// What lies in /etc and programs need. A star at the end: everything that begins so. Never here: shadow, ssh,
// sudoers, ssl/private, …
constexpr const char* etc_names[] = {
    "ImageMagick-*", "alternatives", "bash.bashrc", "bash_completion*", "bashrc", "crypto-policies", "debian_version", "fedora-release",
    "fish", "fonts", "gai.conf", "gitconfig", "group", "host.conf", "inputrc", "java*", "ld.so.c*", "locale.*", "localtime",
    "login.defs", "lsb-release", "magic*", "mailcap", "manpath.config", "maven", "mime.types", "nanorc", "netconfig", "networks", "npmrc",
    "nsswitch.conf", "os-release", "passwd", "php", "pip.conf", "profile*", "protocols", "python*", "redhat-release", "services",
    "shells", "terminfo", "timezone", "vim", "wgetrc", "xml", "zsh*",
};
constexpr const char* etc_inner[] = {"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem"};

bool wanted(std::string_view name) {
  if (name.back() == '-' || name.back() == '~') return false;  // left behind by passwd(1) and editors
  return std::any_of(std::begin(etc_names), std::end(etc_names), [name](std::string_view pattern) {
    if (pattern.back() != '*') return name == pattern;
    pattern.remove_suffix(1);
    return name.substr(0, pattern.size()) == pattern;
  });
}

/// Whatever others on this machine may not read, the agent may not either; root's agent included.
bool is_public(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return false;
  if (S_ISDIR(status.st_mode)) return (status.st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH);
  return S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0;
}

using Arguments = std::vector<std::string>;

void add(Arguments& arguments, std::initializer_list<std::string> more) { arguments.insert(arguments.end(), more); }

void add_link_or_bind(Arguments& arguments, const std::string& path) {
  std::error_code error;
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) return;
  if (S_ISLNK(status.st_mode) && lies_in(resolved(path), "/usr"))
    add(arguments, {"--symlink", fs::read_symlink(path, error).string(), tree + ("/root" + path)});
  else if (is_public(path))
    add(arguments, {"--ro-bind", resolved(path), tree + ("/root" + path)});
}

void add_host_root(Arguments& arguments) {
  const std::string root = std::string(tree) + "/root";
  // What bubblewrap makes on its way to a mount is for the owner alone.
  for (const char* name : {"", "/etc", "/etc/ssl", "/etc/pki", "/etc/pki/tls", "/var", "/var/lib", "/var/tmp", "/var/cache", "/mnt", "/srv", "/home", "/root"})
    add(arguments, {"--perms", "0755", "--dir", root + name});
  add(arguments, {"--symlink", "/run", root + "/var/run"});
  add(arguments, {"--ro-bind", "/usr", root + "/usr"});
  for (const char* path : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/opt", "/nix/store", "/gnu/store"}) add_link_or_bind(arguments, path);
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/etc"), &::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr)
    if (wanted(entry->d_name)) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) add_link_or_bind(arguments, "/etc/" + name);
  for (const char* path : etc_inner) add_link_or_bind(arguments, path);
}

/// The folders that hold other workspaces' state.
std::vector<std::string> private_places(const HostPlaces& places) {
  std::vector<std::string> found;
  const std::string plugin = resolved(places.plugin_dir);
  if (!places.state_dir.empty()) {
    const std::string state = resolved(places.state_dir);
    // Both lie in the store, whose other folders are as private: <store>/workspaces/…, <store>/runtimes/….
    std::size_t common = 0;
    for (std::size_t at = 0; at < plugin.size() && at < state.size() && plugin[at] == state[at]; ++at)
      if (plugin[at] == '/') common = at;
    if (common > 0) found.push_back(plugin.substr(0, common));
    found.push_back(state);
  }
  found.push_back(plugin);
  return found;
}

void hide_private_places(Arguments& arguments, const std::string& source, const std::string& at, const HostPlaces& places) {
  const std::string real = resolved(source);
  std::vector<std::string> hidden;
  for (const std::string& place : private_places(places)) {
    if (!lies_in(place, real) || place == real) continue;
    if (std::any_of(hidden.begin(), hidden.end(), [&](const std::string& outer) { return lies_in(place, outer); })) continue;
    hidden.push_back(place);
    const std::string target = at + (real == "/" ? place : place.substr(real.size()));
    add(arguments, {"--tmpfs", target, "--remount-ro", target});
  }
}

std::size_t depth(const std::string& path) { return static_cast<std::size_t>(std::count(path.begin(), path.end(), '/')); }

// The agent may have replaced a folder of its sources by a link to something it may not see.
void refuse_escape(const std::string& path, const std::string& area) {
  if (path != area && lies_in(path, area) && !lies_in(resolved(path), resolved(area)))
    throw Error(KORTEX_E_PERMISSION, "cannot mount " + quoted(path) + ": it leads out of " + quoted(area) + " through a symbolic link that the agent could have made");
}

}  // namespace

std::string worktree_repository(const std::string& sources) {
  std::string text = contents(sources + "/.git", 8192);
  const std::string prefix = "gitdir: ";
  if (text.compare(0, prefix.size(), prefix) != 0) return {};
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.pop_back();
  std::string named = text.substr(prefix.size());
  if (named.empty()) return {};
  if (named.front() != '/') named = sources + "/" + named;
  const std::string own = resolved(named), real_sources = resolved(sources);
  if (lies_in(own, real_sources)) return {};
  const std::string worktrees = fs::path(own).parent_path().string(), repository = fs::path(worktrees).parent_path().string();
  if (fs::path(worktrees).filename() != "worktrees") return {};
  // It must point back at this very .git file: that file alone proves nothing, the agent can write it.
  std::string back = contents(own + "/gitdir", 8192);
  while (!back.empty() && (back.back() == '\n' || back.back() == '\r')) back.pop_back();
  if (!back.empty() && back.front() != '/') back = own + "/" + back;
  if (back.empty() || resolved(back) != real_sources + "/.git") return {};
  return exists(repository + "/HEAD") && is_directory(repository + "/objects") && is_directory(repository + "/refs") ? repository : std::string();
}

std::vector<Shared> shared_folders(const Workspace& workspace, const HostPlaces& places) {
  const std::string sources = normal(workspace.source_path), target = normal(workspace.target_path);
  if (sources == "/" || target == "/") throw Error(KORTEX_E_INVALID, "cannot use '/' as the sources: nothing would be kept from the agent");
  if (!is_directory(sources)) throw Error(KORTEX_E_INVALID, "cannot read the sources " + quoted(sources) + ": no such directory");
  const std::vector<std::string> hidden = private_places(places);
  if (std::find(hidden.begin(), hidden.end(), resolved(sources)) != hidden.end())
    throw Error(KORTEX_E_INVALID, "cannot use " + quoted(sources) + " as the sources: it is the store of all workspaces");
  std::vector<Shared> all{{sources, "sources", target, false}};
  if (const std::string repository = worktree_repository(sources); !repository.empty()) all.push_back({repository, "repository", repository, false});
  for (std::size_t i = 0; i < workspace.mounts.size(); ++i) {
    const Mount& mount = workspace.mounts[i];
    const std::string path = normal(mount.host_path), at = normal(mount.target);
    if (at == "/") throw Error(KORTEX_E_INVALID, "cannot mount " + quoted(path) + " at '/'");
    if (!exists(path)) {
      if (mount.optional) continue;
      throw Error(KORTEX_E_INVALID, "cannot mount " + quoted(path) + ": no such file or directory");
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && !S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode))
      throw Error(KORTEX_E_UNSUPPORTED, "cannot mount " + quoted(path) + ": a virtual machine can share files and directories only");
    all.push_back({path, "mount/" + std::to_string(i), at, mount.read_only});
  }
  for (const Shared& shared : all)
    for (const Shared& area : all)
      if (!area.read_only) refuse_escape(shared.source, area.source);
  std::stable_sort(all.begin(), all.end(), [](const Shared& left, const Shared& right) { return depth(left.target) < depth(right.target); });
  return all;
}

namespace {

/// bubblewrap's arguments for the tree and for what programs of this machine need to run.
Arguments tree_command(const std::vector<Shared>& folders, const Root& root, const HostPlaces& places) {
  Arguments command{"bwrap", "--unshare-ipc", "--unshare-uts", "--unshare-net", "--unshare-cgroup-try"};
  if (::geteuid() != 0) add(command, {"--unshare-user"});
  add(command, {"--ro-bind", "/usr", "/usr"});
  for (const char* path : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    struct stat status {};
    std::error_code error;
    if (::lstat(path, &status) != 0) continue;
    if (S_ISLNK(status.st_mode))
      add(command, {"--symlink", fs::read_symlink(path, error).string(), path});
    else
      add(command, {"--ro-bind", path, path});
  }
  add(command, {"--proc", "/proc", "--dev", "/dev", "--tmpfs", "/run", "--tmpfs", "/tmp", "--perms", "0755", "--dir", tree});
  if (root.kind == Root::Kind::host) add_host_root(command);
  if (root.kind == Root::Kind::directory) add(command, {"--ro-bind", root.path, std::string(tree) + "/root"});
  add(command, {"--perms", "0755", "--dir", std::string(tree) + "/mount", "--perms", "0755", "--dir", std::string(tree) + "/session"});
  for (const char* name : {"status", "output.0", "output.1"})
    add(command, {"--bind", places.state_dir + "/session." + name, std::string(tree) + "/session/" + name});
  for (const Shared& shared : folders) {
    const std::string at = std::string(tree) + "/" + shared.name;
    add(command, {shared.read_only ? "--ro-bind" : "--bind", shared.source, at});
    hide_private_places(command, shared.source, at, places);
  }
  return command;
}

}  // namespace

std::vector<std::string> nine_p_command(const std::vector<Shared>& folders, const Root& root, const Owner& owner, const HostPlaces& places,
                                        const std::vector<std::string>& read, const std::vector<std::string>& written) {
  Arguments command = tree_command(folders, root, places);
  for (const std::string& path : read) add(command, {"--ro-bind", path, path});
  for (const std::string& path : written) add(command, {"--bind", path, path});
  add(command, {"--dev-bind-try", "/dev/kvm", "/dev/kvm", "--remount-ro", "/", "--chdir", places.state_dir});
  if (owner.uid == 0)
    for (const char* capability : {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID"}) add(command, {"--cap-add", capability});
  add(command, {"--"});
  return command;
}

std::vector<std::string> share_command(const std::vector<Shared>& folders, const Root& root, const Owner& owner, const HostPlaces& places,
                                       const Virtiofsd& virtiofsd, int listen_fd) {
  Arguments command = tree_command(folders, root, places);
  const bool is_root = ::geteuid() == 0;
  add(command, {"--remount-ro", "/", "--chdir", "/"});
  if (is_root && owner.uid != 0) {
    // bubblewrap has put the tree together as root, who gets everywhere; what follows is the owner's.
    add(command, {"--cap-add", "ALL", "--", "setpriv", "--reuid", std::to_string(owner.uid), "--regid", std::to_string(owner.gid), "--clear-groups",
                  "--inh-caps", "-all"});
  } else if (is_root) {
    add(command, {"--cap-add", "ALL", "--"});
  } else {
    add(command, {"--"});
  }
  if (owner.uid != 0)
    add(command, {"unshare", "--user", "--keep-caps", "--map-user=" + std::to_string(owner.uid), "--map-group=" + std::to_string(owner.gid), "--"});
  if (virtiofsd.rust)
    add(command, {virtiofsd.path, "--fd=" + std::to_string(listen_fd), "--shared-dir", tree, "--sandbox", "chroot", "--inode-file-handles=never",
                  "--cache=auto", "--log-level", "error"});
  else
    add(command, {virtiofsd.path, "-f", "--fd=" + std::to_string(listen_fd), "--rlimit-nofile=0", "-o",
                  std::string("source=") + tree + ",sandbox=chroot,cache=auto,no_posix_lock,no_flock,no_xattr,log_level=err"});
  return command;
}

std::vector<std::string> exposure(const Workspace& workspace, const std::vector<Shared>& folders, const Root& root, const HostPlaces& places) {
  std::vector<std::string> said;
  for (const Shared& shared : folders) {
    std::string line = quoted(shared.source) + (shared.read_only ? ", read only" : ", read and write");
    if (shared.name == "sources") line = "the sources " + line + ", with their .git directory: hooks it leaves there run when you use git";
    if (shared.name == "repository") line = "the main repository " + line + ", of this git worktree";
    if (shared.target != shared.source) line += ", mounted at " + quoted(shared.target);
    said.push_back(line);
  }
  if (lies_in(resolved(places.plugin_dir), resolved(workspace.source_path)))
    said.emplace_back("not the store of workspaces, though the sources contain it: the agent sees an empty directory there");
  if (root.kind == Root::Kind::host) said.emplace_back("the installed programs (/usr, /opt) and public files of /etc, read only");
  if (root.kind == Root::Kind::directory) said.push_back("the root directory " + quoted(root.path) + ", read only");
  if (!workspace.network_denied) said.emplace_back("what this machine reaches by IPv4, its other addresses included; not its own loopback");
  for (const Port& port : workspace.ports) said.push_back("port " + std::to_string(port.target) + " of the agent is forwarded to " + port.bind + " of this machine");
  const std::string virtiofsd = workspace.options.get("share", "virtiofs") == "9p" ? "" : ", virtiofsd", passt = workspace.network_denied ? "" : ", passt";
  said.push_back("QEMU" + virtiofsd + passt + ": programs of this machine that serve the virtual one");
  return said;
}

}  // namespace kortex::microvm
