#include "system_files.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "paths.hpp"

namespace kortex::process {

namespace {

namespace fs = std::filesystem;

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

std::vector<Mounted> system_files(const std::string& etc, bool open_etc) {
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
  if (open_etc) {
    // What bubblewrap makes on its way to a mount is for the owner alone; this one is open on every system.
    view.push_back({Kind::directory, "", "/etc"});
    std::error_code error;
    for (fs::directory_iterator at(etc, error), end; !error && at != end; at.increment(error)) {
      const std::string target = "/etc/" + at->path().filename().string();
      if (at->is_symlink(error))
        view.push_back({Kind::symlink, fs::read_symlink(at->path(), error).string(), target});
      else
        view.push_back({Kind::read_only_bind, at->path().string(), target});
    }
  } else {
    view.push_back({Kind::read_only_bind, etc, "/etc"});
  }
  view.push_back({Kind::directory, "", "/var"});
  view.push_back({Kind::proc, "", "/proc"});
  cover_kernel_files(view);
  view.push_back({Kind::dev, "", "/dev"});
  view.push_back({Kind::scratch, "", "/run"});
  view.push_back({Kind::symlink, "/run", "/var/run"});
  return view;
}

}  // namespace kortex::process
