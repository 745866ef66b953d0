#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>

#include <kortex/fd.hpp>

#include "instance_files.hpp"

namespace kortex::process {

namespace {

// The agent may have made directories without any permission, links to anywhere, and very deep trees: nothing is
// followed, and a directory is opened relative to its parent.
void remove_entry(int parent, const char* name, const std::string& shown) {
  if (::unlinkat(parent, name, 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM && errno != EACCES)
    throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'");
  Fd directory(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  const bool shut = !directory ? errno == EACCES : ::fstat(directory.get(), &status) == 0 && (status.st_mode & S_IRWXU) != S_IRWXU;
  if (shut && ::fstatat(parent, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode)) {
    // Where the modes cannot be changed it may still be possible with those it has.
    if (::fchmodat(parent, name, S_IRWXU, 0) == 0)
      directory.reset(::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!directory) throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'");
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(directory.get()), &::closedir);
  if (!listing) throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'");
  const int inside = directory.release();
  while (const dirent* entry = ::readdir(listing.get()))
    if (std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0)
      remove_entry(inside, entry->d_name, shown + "/" + entry->d_name);
  if (::unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
    throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'");
}

}  // namespace

void remove_tree(const std::string& path) { remove_entry(AT_FDCWD, path.c_str(), path); }

}  // namespace kortex::process
