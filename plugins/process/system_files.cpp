#include "system_files.hpp"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <memory>
#include <string_view>

#include "paths.hpp"

namespace kortex::process {

namespace {

namespace fs = std::filesystem;

// What lies directly in /etc and is wanted whole. A star at the end: everything that begins so.
// Never here: shadow, gshadow, ssh, sudoers, ssl/private, krb5.keytab, …
constexpr std::array etc_names{
    std::string_view("ImageMagick-*"), std::string_view("alternatives"),    std::string_view("bash.bashrc"),
    std::string_view("bash_completion*"), std::string_view("bashrc"),       std::string_view("ca-certificates*"),
    std::string_view("crypto-policies"), std::string_view("debian_version"), std::string_view("fedora-release"),
    std::string_view("fish"),          std::string_view("fonts"),           std::string_view("fpc*"),
    std::string_view("gai.conf"),      std::string_view("gemrc"),           std::string_view("gitconfig"),
    std::string_view("group"),         std::string_view("host.conf"),       std::string_view("hosts"),
    std::string_view("inputrc"),       std::string_view("java*"),           std::string_view("jvm*"),
    std::string_view("ld.so.c*"),      std::string_view("locale.*"),        std::string_view("localtime"),
    std::string_view("login.defs"),    std::string_view("lsb-release"),     std::string_view("magic*"),
    std::string_view("mailcap"),       std::string_view("manpath.config"),  std::string_view("maven"),
    std::string_view("mime.types"),    std::string_view("nanorc"),          std::string_view("netconfig"),
    std::string_view("networks"),      std::string_view("npmrc"),           std::string_view("nsswitch.conf"),
    std::string_view("os-release"),    std::string_view("passwd"),          std::string_view("perl"),
    std::string_view("php"),           std::string_view("pip.conf"),        std::string_view("profile*"),
    std::string_view("protocols"),     std::string_view("python*"),         std::string_view("redhat-release"),
    std::string_view("resolv.conf"),   std::string_view("rpc"),             std::string_view("services"),
    std::string_view("shells"),        std::string_view("terminfo"),        std::string_view("texmf"),
    std::string_view("timezone"),      std::string_view("vim"),             std::string_view("wgetrc"),
    std::string_view("xdg"),           std::string_view("xml"),             std::string_view("zsh*"),
};

// Of folders that also hold private keys only these.
constexpr std::array etc_inner{
    "/etc/ssl/certs",     "/etc/ssl/openssl.cnf", "/etc/ssl/cert.pem",        "/etc/pki/ca-trust",
    "/etc/pki/tls/certs", "/etc/pki/tls/cert.pem", "/etc/pki/tls/openssl.cnf",
};

bool wanted(std::string_view name) {
  return std::any_of(etc_names.begin(), etc_names.end(), [name](std::string_view pattern) {
    if (pattern.back() != '*') return name == pattern;
    pattern.remove_suffix(1);
    return name.substr(0, pattern.size()) == pattern;
  });
}

// Whatever others on this machine may not read, the agent may not either; root's agent included.
void add_public_file(std::vector<Mounted>& view, const std::string& path) {
  struct stat status;
  if (::lstat(path.c_str(), &status) != 0) return;
  if (S_ISLNK(status.st_mode)) {
    std::error_code error;
    const fs::path text = fs::read_symlink(path, error);
    const std::string real = resolved(path);
    if (!error && lies_in(real, "/usr")) {
      view.push_back({Mounted::Kind::symlink, text.string(), path});
      return;
    }
    // resolv.conf is often a link into /run, which the sandbox does not have.
    if (::stat(real.c_str(), &status) == 0 && (status.st_mode & S_IROTH) != 0)
      view.push_back({Mounted::Kind::read_only_bind, real, path});
    return;
  }
  const mode_t readable = S_ISDIR(status.st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
  if ((S_ISDIR(status.st_mode) || S_ISREG(status.st_mode)) && (status.st_mode & readable) == readable)
    view.push_back({Mounted::Kind::read_only_bind, path, path});
}

void add_etc(std::vector<Mounted>& view) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/etc"), &::closedir);
  if (!folder) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get()))
    if (wanted(entry->d_name)) names.emplace_back(entry->d_name);
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    // Left behind by passwd(1) and editors; "shadow" cannot be reached by any pattern above.
    if (name.back() == '-' || name.back() == '~') continue;
    add_public_file(view, "/etc/" + name);
  }
  for (const char* path : etc_inner) add_public_file(view, path);
  view.push_back({Mounted::Kind::symlink, "/proc/self/mounts", "/etc/mtab"});
}

// The kernel asks of most of these files only that the reader be uid 0 of the machine, which root is in the
// sandbox, too, capabilities or not: /proc/sys/kernel/core_pattern would be a way out. bubblewrap covers them when
// access() says that they are writable, which is not so for directories of mode 0555.
void cover_kernel_files(std::vector<Mounted>& view) {
  if (::geteuid() != 0) return;
  for (const char* path : {"/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs", "/proc/acpi", "/proc/scsi",
                           "/proc/driver", "/proc/asound", "/proc/mtrr"})
    if (exists(path)) view.push_back({Mounted::Kind::read_only_bind, path, path});
  for (const char* path : {"/proc/kcore", "/proc/kmsg", "/proc/keys", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
                           "/proc/timer_list", "/proc/sched_debug", "/proc/slabinfo", "/proc/vmallocinfo", "/proc/pagetypeinfo",
                           "/proc/interrupts", "/proc/iomem", "/proc/ioports", "/proc/latency_stats"})
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
  return view;
}

}  // namespace kortex::process
