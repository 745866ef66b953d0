#include "public_etc.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <set>
#include <string_view>
#include <system_error>
#include <vector>

#include <kortex/fd.hpp>

#include "instance_files.hpp"
#include "paths.hpp"

namespace kortex::process {

namespace {

// What lies directly in /etc and is wanted whole. A star at the end: everything that begins so.
// Never here: shadow, gshadow, ssh, sudoers, ssl/private, krb5.keytab, …
constexpr const char* names_in_etc[] = {
    "ImageMagick-*", "alternatives", "bash.bashrc", "bash_completion*", "bashrc", "crypto-policies", "debian_version",
    "fedora-release", "fish", "fonts", "fpc*", "gai.conf", "gemrc", "gitconfig", "group", "host.conf", "hosts",
    "inputrc", "java*", "jvm*", "ld.so.c*", "locale.*", "localtime", "login.defs", "lsb-release", "magic*", "mailcap",
    "manpath.config", "maven", "mime.types", "mtab", "nanorc", "netconfig", "networks", "npmrc", "nsswitch.conf",
    "os-release", "passwd", "php", "pip.conf", "profile*", "protocols", "python*", "redhat-release", "resolv.conf",
    "rpc", "services", "shells", "terminfo", "texmf", "timezone", "vim", "wgetrc", "xml", "zsh*",
};

// Of folders that also hold private keys only these, and the folders on the way to them.
constexpr const char* paths_in_etc[] = {
    "ssl/certs", "ssl/openssl.cnf", "ssl/cert.pem", "pki/ca-trust", "pki/tls/certs", "pki/tls/cert.pem", "pki/tls/openssl.cnf",
};

bool matches(std::string_view name, std::string_view pattern) {
  if (pattern.back() != '*') return name == pattern;
  pattern.remove_suffix(1);
  return name.substr(0, pattern.size()) == pattern;
}

bool wanted_of_etc(const std::string& path) {
  // Left behind by passwd(1) and editors.
  if (path.back() == '-' || path.back() == '~') return false;
  const std::string first = path.substr(0, path.find('/'));
  if (std::any_of(std::begin(names_in_etc), std::end(names_in_etc), [&](const char* name) { return matches(first, name); })) return true;
  return std::any_of(std::begin(paths_in_etc), std::end(paths_in_etc), [&](const char* inner) { return lies_in(path, inner) || lies_in(inner, path); });
}

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> entries;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  if (!listing) return entries;
  while (const dirent* entry = ::readdir(listing.get()))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0) entries.emplace_back(entry->d_name);
  return entries;
}

bool same_time(const timespec& a, const timespec& b) { return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec; }

// Whatever others on this machine may not read, the agent may not either; root's agent included.
bool readable_by_all(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) return (status.st_mode & (S_IROTH | S_IXOTH)) == (S_IROTH | S_IXOTH);
  return S_ISREG(status.st_mode) && (status.st_mode & S_IROTH) != 0;
}

std::string link_text(const std::string& path) {
  char text[PATH_MAX];
  const ssize_t size = ::readlink(path.c_str(), text, sizeof text);
  return size < 0 ? std::string() : std::string(text, static_cast<std::size_t>(size));
}

/// What tells that a file or directory has changed, or has come to be (all zero: it was not there).
std::string line_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) status = {};
  return std::to_string(status.st_mtim.tv_sec) + '.' + std::to_string(status.st_mtim.tv_nsec) + ' ' + std::to_string(status.st_size) + ' ' +
         std::to_string(status.st_mode) + ' ' + path + '\n';
}

class Mirror {
 public:
  explicit Mirror(bool (*wanted)(const std::string&)) : m_wanted(wanted) {}

  /// `inner`: the directory's path below where all began, with a slash at its end; "" there.
  void directory(const std::string& from, const std::string& to, const std::string& inner) {
    note(from);
    struct stat copy {};
    if (::lstat(to.c_str(), &copy) != 0 || !S_ISDIR(copy.st_mode)) {
      remove_tree(to);
      if (::mkdir(to.c_str(), 0755) != 0) fail("cannot make '" + to + "'");
    }
    ::chmod(to.c_str(), 0755);  // whatever the umask
    std::set<std::string> kept;
    for (const std::string& name : entries_of(from)) {
      if (!m_wanted(inner + name)) continue;
      kept.insert(name);
      entry(from + "/" + name, to + "/" + name, inner + name);
    }
    for (const std::string& name : entries_of(to))
      if (kept.count(name) == 0) remove_tree(to + "/" + name);
  }

  /// Of all that was looked at: see is_current().
  [[nodiscard]] const std::string& manifest() const { return m_manifest; }

 private:
  // Taken before the thing itself is read: what changes meanwhile is seen the next time.
  void note(const std::string& path) {
    m_manifest += path.find('\n') == std::string::npos ? line_of(path) : "of a name that no line can hold\n";
  }

  void entry(const std::string& from, const std::string& to, const std::string& inner) {
    struct stat source {};
    struct stat copy {};
    const bool copied = ::lstat(to.c_str(), &copy) == 0;
    if (::lstat(from.c_str(), &source) != 0) return remove_tree(to);
    if (S_ISLNK(source.st_mode)) {
      const std::string text = link_text(from), real = resolved(from);
      if (lies_in(real, "/usr") || lies_in(real, "/proc")) {  // /etc/mtab is one of /proc
        if (copied && S_ISLNK(copy.st_mode) && link_text(to) == text) return;
        remove_tree(to);
        if (::symlink(text.c_str(), to.c_str()) != 0) fail("cannot make '" + to + "'");
        return;
      }
      // resolv.conf is often a link into /run, which a sandbox does not have: the file itself.
      if (::stat(from.c_str(), &source) != 0 || !S_ISREG(source.st_mode)) {
        note(from);
        return remove_tree(to);
      }
    }
    if (readable_by_all(source) && S_ISDIR(source.st_mode)) return directory(from, to, inner + "/");
    note(from);
    if (!readable_by_all(source)) return remove_tree(to);
    if (copied && S_ISREG(copy.st_mode) && copy.st_size == source.st_size && same_time(copy.st_mtim, source.st_mtim)) return;
    if (copied && !S_ISREG(copy.st_mode)) remove_tree(to);
    file(from, to);
  }

  static void file(const std::string& from, const std::string& to) {
    const Fd source(::open(from.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    struct stat status {};
    if (!source || ::fstat(source.get(), &status) != 0 || !readable_by_all(status)) return remove_tree(to);
    const std::string fresh = to + ".kortex-new";
    const Fd copy(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644));
    if (!copy) fail("cannot write '" + fresh + "'");
    char buffer[65536];
    for (;;) {
      const ssize_t size = ::read(source.get(), buffer, sizeof buffer);
      if (size < 0 && errno == EINTR) continue;
      if (size < 0) fail("cannot read '" + from + "'");
      if (size == 0) break;
      for (ssize_t at = 0; at < size;) {
        const ssize_t done = ::write(copy.get(), buffer + at, static_cast<std::size_t>(size - at));
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) fail("cannot write '" + fresh + "'");
        at += done;
      }
    }
    const timespec times[] = {status.st_mtim, status.st_mtim};
    if (::fchmod(copy.get(), 0644 | (status.st_mode & 0111)) != 0 || ::futimens(copy.get(), times) != 0 ||
        ::rename(fresh.c_str(), to.c_str()) != 0)
      fail("cannot write '" + to + "'");
  }

  bool (*m_wanted)(const std::string&);
  std::string m_manifest;
};

/// One question for each line: a tenth of what comparing the two trees costs.
bool is_current(const std::string& manifest) {
  for (std::size_t at = 0; at < manifest.size();) {
    const std::size_t end = manifest.find('\n', at), path = manifest.find('/', at);
    if (end == std::string::npos || path > end) return false;
    if (manifest.compare(at, end + 1 - at, line_of(manifest.substr(path, end - path))) != 0) return false;
    at = end + 1;
  }
  return !manifest.empty();
}

}  // namespace

void mirror_public(const std::string& from, const std::string& to, bool (*wanted)(const std::string&)) {
  constexpr std::size_t most = 16 << 20;
  const std::string list = to + ".list";
  if (is_current(contents(list, most)) && is_directory(to)) return;
  const std::string lock_file = to + ".lock";
  const Fd lock(::open(lock_file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) fail("cannot lock '" + lock_file + "'");
  while (::flock(lock.get(), LOCK_EX) != 0)
    if (errno != EINTR) fail("cannot lock '" + lock_file + "'");
  Mirror mirror(wanted);
  mirror.directory(from, to, "");
  replace_file(list, mirror.manifest());
}

std::string public_etc(const std::string& state_dir) {
  std::string mirror = state_dir + "/etc";
  mirror_public("/etc", mirror, wanted_of_etc);
  return mirror;
}

}  // namespace kortex::process
