#include "instances/tree_removal.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>
#include <utility>
#include <vector>

#include <kortex/fd.hpp>

namespace kortex::host {

namespace {

struct CloseDirectory {
  void operator()(DIR* stream) const { ::closedir(stream); }
};

constexpr int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
constexpr int deepest = 512;  // one descriptor each

/// Returns the first errno, 0: all gone.
int empty_directory(Fd directory, const std::string& keep, int depth) {
  int first = 0;
  const auto note = [&](int error) { first = first == 0 ? error : first; };
  const int at = directory.get();
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(at));
  if (!stream) return errno;
  (void)directory.release();
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != keep) names.push_back(name);
  }
  for (const auto& name : names) {
    if (::unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) continue;
    const int error = errno;
    struct stat status {};
    if (::fstatat(at, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode)) {
      note(error);
      continue;
    }
    if ((status.st_mode & 0700) != 0700 && ::fchmodat(at, name.c_str(), 0700, 0) != 0) {
      note(errno);
      continue;
    }
    Fd inner(::openat(at, name.c_str(), flags));
    if (!inner || depth == deepest) {
      note(inner ? ELOOP : errno);
      continue;
    }
    if (const int inside = empty_directory(std::move(inner), {}, depth + 1); inside != 0) note(inside);
    if (::unlinkat(at, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) note(errno);
  }
  return first;
}

}  // namespace

void remove_tree(const std::filesystem::path& directory, const std::string& last) {
  Fd fd(::open(directory.c_str(), flags));
  if (!fd) throw std::system_error(errno, std::generic_category(), directory.string());
  if ((::fchmod(fd.get(), 0700) != 0) && errno != EPERM) throw std::system_error(errno, std::generic_category(), directory.string());
  const int error = empty_directory(std::move(fd), last, 0);
  if (error != 0) throw std::system_error(error, std::generic_category(), directory.string());
  ::unlink((directory / last).c_str());
  if (::rmdir(directory.c_str()) != 0) throw std::system_error(errno, std::generic_category(), directory.string());
}

}  // namespace kortex::host
