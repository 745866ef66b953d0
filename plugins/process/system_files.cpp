#include "system_files.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <memory>
#include <string_view>

#include "paths.hpp"

namespace kortex::process {

namespace {

namespace fs = std::filesystem;

// What lies directly in /etc and is wanted whole. A star at the end: everything that begins so.
// Never here: shadow, gshadow, ssh, sudoers, ssl/private, krb5.keytab, …
constexpr const char* etc_names[] = {
    "ImageMagick-*", "alternatives", "bash.bashrc", "bash_completion*", "bashrc", "crypto-policies", "debian_version",
    "fedora-release", "fish", "fonts", "fpc*", "gai.conf", "gemrc", "gitconfig", "group", "host.conf", "hosts",
    "inputrc", "java*", "jvm*", "ld.so.c*", "locale.*", "localtime", "login.defs", "lsb-release", "magic*", "mailcap",
    "manpath.config", "maven", "mime.types", "nanorc", "netconfig", "networks", "npmrc", "nsswitch.conf",
    "os-release", "passwd", "php", "pip.conf", "profile*", "protocols", "python*", "redhat-release", "resolv.conf",
    "rpc", "services", "shells", "terminfo", "texmf", "timezone", "vim", "wgetrc", "xml", "zsh*",
};

// Of folders that also hold private keys only these.
constexpr const char* etc_inner[] = {
    "/etc/ssl/certs",     "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem",        "/etc/pki/ca-trust",
    "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf",
};

bool wanted(std::string_view name) {
  return std::any_of(std::begin(etc_names), std::end(etc_names), [name](std::string_view pattern) {
    if (pattern.back() != '*') return name == pattern;
    pattern.remove_suffix(1);
    return name.substr(0, pattern.size()) == pattern;
  });
}

// A mount costs bubblewrap a quarter of a millisecond, because it reads the table of all mounts after each; a
// small file that is copied into the sandbox's own read-only /etc costs nothing.
constexpr off_t small_file = 128 * 1024;
constexpr std::size_t few_entries = 12;
constexpr std::size_t most_copies = 96;  // each is an open descriptor while bubblewrap starts

class EtcBuilder {
 public:
  explicit EtcBuilder(std::vector<Mounted>& view) : m_view(view) {}

  // Whatever others on this machine may not read, the agent may not either; root's agent included.
  void add(const std::string& path) {
    struct stat status;
    if (::lstat(path.c_str(), &status) != 0) return;
    if (S_ISLNK(status.st_mode)) {
      add_link(path);
    } else if (S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0) {
      add_file(path, path, status.st_size);
    } else if (S_ISDIR(status.st_mode) && (status.st_mode & S_IROTH) != 0 && (status.st_mode & S_IXOTH) != 0) {
      if (!copy_directory(path)) m_view.push_back({Mounted::Kind::read_only_bind, path, path});
    }
  }

 private:
  void add_link(const std::string& path) {
    std::error_code error;
    const fs::path text = fs::read_symlink(path, error);
    const std::string real = resolved(path);
    struct stat status;
    if (!error && lies_in(real, "/usr"))
      m_view.push_back({Mounted::Kind::symlink, text.string(), path});
    // resolv.conf is often a link into /run, which the sandbox does not have.
    else if (::stat(real.c_str(), &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0)
      add_file(real, path, status.st_size);
  }

  void add_file(const std::string& source, const std::string& target, off_t size) {
    const bool copied = size <= small_file && m_copies < most_copies;
    m_copies += copied ? 1 : 0;
    m_view.push_back({copied ? Mounted::Kind::copy : Mounted::Kind::read_only_bind, source, target});
  }

  /// False: it is too large for that, or holds directories.
  bool copy_directory(const std::string& path) {
    std::vector<fs::directory_entry> entries;
    std::error_code error;
    for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
      if (entries.size() == few_entries || at->symlink_status(error).type() == fs::file_type::directory) return false;
      entries.push_back(*at);
    }
    if (error) return false;
    m_view.push_back({Mounted::Kind::directory, "", path});
    for (const fs::directory_entry& entry : entries) add(entry.path().string());
    return true;
  }

  std::vector<Mounted>& m_view;
  std::size_t m_copies = 0;
};

void add_etc(std::vector<Mounted>& view) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/etc"), &::closedir);
  if (!folder) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get()))
    if (wanted(entry->d_name)) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  EtcBuilder etc(view);
  for (const std::string& name : names) {
    // Left behind by passwd(1) and editors; "shadow" cannot be reached by any pattern above.
    if (name.back() == '-' || name.back() == '~') continue;
    etc.add("/etc/" + name);
  }
  for (const char* path : etc_inner) etc.add(path);
  view.push_back({Mounted::Kind::symlink, "/proc/self/mounts", "/etc/mtab"});
}

// The kernel asks of these files only that the reader be uid 0 of the machine, which root is in the
// sandbox, too, capabilities or not: /proc/sys/kernel/core_pattern would be a way out. bubblewrap 0.8
// covers those that access() calls writable, which it does not say of /proc/sys.
void cover_kernel_files(std::vector<Mounted>& view) {
  if (::geteuid() != 0) return;
  for (const char* path : {"/proc/sys", "/proc/fs", "/proc/acpi", "/proc/scsi"})
    if (exists(path)) view.push_back({Mounted::Kind::read_only_bind, path, path});
  for (const char* path : {"/proc/keys", "/proc/kpagecount", "/proc/kpageflags"})
    if (exists(path)) view.push_back({Mounted::Kind::read_only_bind, "/dev/null", path});
}

}  // namespace

std::vector<Mounted> system_files() {
  using Kind = Mounted::Kind;
  std::vector<Mounted> view;
  view.push_back({Kind::read_only_bind, "/usr", "/usr"});
  for (const char* path : {"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"}) {
    struct stat status;
    if (::lstat(path, &status) != 0) continue;
    std::error_code error;
    if (S_ISLNK(status.st_mode))
      view.push_back({Kind::symlink, fs::read_symlink(path, error).string(), path});
    else
      view.push_back({Kind::read_only_bind, path, path});
  }
  for (const char* path : {"/opt", "/nix/store", "/gnu/store", "/snap"})
    if (is_directory(path)) view.push_back({Kind::read_only_bind, path, path});
  // What bubblewrap makes on its way to a mount is for the owner alone; these are open on every system.
  for (const char* path : {"/etc", "/etc/ssl", "/var"}) view.push_back({Kind::directory, "", path});
  add_etc(view);
  view.push_back({Kind::proc, "", "/proc"});
  cover_kernel_files(view);
  view.push_back({Kind::dev, "", "/dev"});
  view.push_back({Kind::scratch, "", "/run"});
  view.push_back({Kind::symlink, "/run", "/var/run"});
  view.push_back({Kind::symlink, "/tmp", "/var/tmp"});
  return view;
}

}  // namespace kortex::process
