#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include <kortex/fd.hpp>

#include "instance_files.hpp"

namespace kortex::process {

namespace {

// The agent may have made directories without any permission, links to anywhere, and trees deeper than our descriptors
// and stack last: nothing is followed, a directory is opened relative to its parent, and what is too deep is moved up first.
constexpr int deepest = 64;

struct Removal {
  int top;  ///< a directory that is going to be removed as well
  std::vector<std::string> moved{};
};

void remove_entry(int parent, const std::string& name, const std::string& shown, int depth, Removal& removal);

void remove_contents(Fd directory, const std::string& shown, int depth, Removal& removal) {
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::fdopendir(directory.get()), &::closedir);
  if (!listing) throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'");
  const int inside = directory.release();
  if (depth == 0) removal.top = inside;
  const auto is_entry = [](const dirent* entry) { return std::strcmp(entry->d_name, ".") != 0 && std::strcmp(entry->d_name, "..") != 0; };
  while (const dirent* entry = ::readdir(listing.get()))
    if (is_entry(entry)) remove_entry(inside, entry->d_name, shown + "/" + entry->d_name, depth + 1, removal);
  if (depth != 0) return;
  for (std::size_t i = 0; i < removal.moved.size(); ++i) {
    const std::string name = removal.moved[i];
    remove_entry(inside, name, shown + "/" + name, 1, removal);
  }
}

void remove_entry(int parent, const std::string& name, const std::string& shown, int depth, Removal& removal) {
  if (::unlinkat(parent, name.c_str(), 0) == 0 || errno == ENOENT) return;
  const auto fail = [&shown]() { throw std::system_error(errno, std::generic_category(), "cannot remove '" + shown + "'"); };
  if (errno != EISDIR && errno != EPERM && errno != EACCES) fail();
  Fd directory(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  const bool shut = !directory ? errno == EACCES : ::fstat(directory.get(), &status) == 0 && (status.st_mode & S_IRWXU) != S_IRWXU;
  if (shut && ::fstatat(parent, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode)) {
    // Where the modes cannot be changed it may still be possible with those it has.
    if (::fchmodat(parent, name.c_str(), S_IRWXU, 0) == 0)
      directory.reset(::openat(parent, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  }
  if (!directory) fail();
  if (depth == deepest) {
    // One of that name may have been there before.
    for (int number = 0; number < 1'000'000; ++number) {
      std::string up = ".removed-" + std::to_string(removal.moved.size() + static_cast<std::size_t>(number));
      if (::renameat(parent, name.c_str(), removal.top, up.c_str()) == 0) return removal.moved.push_back(std::move(up));
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) break;
    }
    fail();
  }
  remove_contents(std::move(directory), shown, depth, removal);
  if (::unlinkat(parent, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) fail();
}

}  // namespace

void remove_tree(const std::string& path) {
  Removal removal{-1};
  remove_entry(AT_FDCWD, path, path, 0, removal);
}

}  // namespace kortex::process
