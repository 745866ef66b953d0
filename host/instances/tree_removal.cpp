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
constexpr int deepest = 64;  // one descriptor each

/// A tree may be deeper than descriptors and stack last: what is too deep is moved up, to be removed from there.
struct Removal {
  int top = -1;
  std::vector<std::string> moved;
  int first = 0;  ///< errno; 0: all gone
  void note(int error) { first = first == 0 ? error : first; }
};

void empty_directory(Fd directory, const std::string& keep, int depth, Removal& removal);

void remove_entry(int at, const std::string& name, int depth, Removal& removal) {
  if (::unlinkat(at, name.c_str(), 0) == 0 || errno == ENOENT) return;
  const int error = errno;
  struct stat status {};
  if (::fstatat(at, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISDIR(status.st_mode)) return removal.note(error);
  if ((status.st_mode & 0700) != 0700 && ::fchmodat(at, name.c_str(), 0700, 0) != 0) return removal.note(errno);
  if (depth == deepest) {
    // One of that name may have been there before.
    for (int number = 0; number < 1'000'000; ++number) {
      std::string up = ".removed-" + std::to_string(removal.moved.size() + static_cast<std::size_t>(number));
      if (::renameat(at, name.c_str(), removal.top, up.c_str()) == 0) return removal.moved.push_back(std::move(up));
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) break;
    }
    return removal.note(errno);
  }
  Fd inner(::openat(at, name.c_str(), flags));
  if (!inner) return removal.note(errno);
  empty_directory(std::move(inner), {}, depth + 1, removal);
  if (::unlinkat(at, name.c_str(), AT_REMOVEDIR) != 0 && errno != ENOENT) removal.note(errno);
}

void empty_directory(Fd directory, const std::string& keep, int depth, Removal& removal) {
  const int at = directory.get();
  const std::unique_ptr<DIR, CloseDirectory> stream(::fdopendir(at));
  if (!stream) return removal.note(errno);
  (void)directory.release();
  if (depth == 0) removal.top = at;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != ".." && name != keep) names.push_back(name);
  }
  for (const auto& name : names) remove_entry(at, name, depth, removal);
  if (depth == 0)
    for (std::size_t i = 0; i < removal.moved.size(); ++i) remove_entry(at, std::string(removal.moved[i]), depth + 1, removal);
}

}  // namespace

void remove_tree(const std::filesystem::path& directory, const std::string& last) {
  Fd fd(::open(directory.c_str(), flags));
  if (!fd) throw std::system_error(errno, std::generic_category(), directory.string());
  if ((::fchmod(fd.get(), 0700) != 0) && errno != EPERM) throw std::system_error(errno, std::generic_category(), directory.string());
  Removal removal;
  empty_directory(std::move(fd), last, 0, removal);
  if (removal.first != 0) throw std::system_error(removal.first, std::generic_category(), directory.string());
  ::unlink((directory / last).c_str());
  if (::rmdir(directory.c_str()) != 0) throw std::system_error(errno, std::generic_category(), directory.string());
}

}  // namespace kortex::host
