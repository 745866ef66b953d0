#include "cache.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <memory>

#include "files.hpp"

namespace kortex::microvm {

namespace {

constexpr std::int64_t kept_for_s = std::int64_t{14} * 24 * 3600;
constexpr std::int64_t making_takes_at_most_s = 24 * 3600;

bool is_ours(const std::string& name) {
  for (const char* kind : {"vmlinux-", "initramfs-", "root-"})
    if (name.compare(0, std::string(kind).size(), kind) == 0) return true;
  return false;
}

}  // namespace

std::string Cache::get(const std::string& name, const std::function<void(const std::string&)>& make) const {
  std::string path = m_directory + "/" + name;
  if (exists(path)) {
    ::utimensat(AT_FDCWD, path.c_str(), nullptr, 0);
    return path;
  }
  const std::string fresh = path + ".making-" + std::to_string(::getpid());
  try {
    make(fresh);
  } catch (...) {
    ::unlink(fresh.c_str());
    throw;
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail_system("cannot keep '" + path + "'");
  return path;
}

void Cache::use(const std::string& entry, const std::string& link) const {
  ::unlink(link.c_str());
  if (lies_in(entry, m_directory)) (void)!::link(entry.c_str(), link.c_str());
}

void Cache::prune() const {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(m_directory.c_str()), &::closedir);
  if (!folder) return;
  const std::int64_t now = ::time(nullptr);
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string name = entry->d_name;
    struct stat status {};
    if (!is_ours(name) || ::fstatat(::dirfd(folder.get()), name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(status.st_mode)) continue;
    const bool half_made = name.find(".making-") != std::string::npos;
    const std::int64_t age = now - status.st_mtim.tv_sec;
    if (status.st_nlink == 1 && age > (half_made ? making_takes_at_most_s : kept_for_s)) ::unlinkat(::dirfd(folder.get()), name.c_str(), 0);
  }
}

}  // namespace kortex::microvm
