/// Finding and ending processes that are not one's children, for a runtime whose backend is processes. Header-only, C++17, Linux.
///
/// A pid may become another's between a look and a signal: kill_process() looks again when it holds a descriptor of the process, which never
/// becomes another's. Any thread may call these; they keep nothing. What vanishes meanwhile is passed over.
#ifndef KORTEX_PROCESSES_HPP
#define KORTEX_PROCESSES_HPP

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <kortex/fd.hpp>

namespace kortex {

/// The numbers in a directory of /proc: processes ("/proc"), or a process's descriptors ("/proc/1/fd"). None where it cannot be read.
[[nodiscard]] inline std::vector<std::string> numbers_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr)
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
  return names;
}

/// `process`, a number of numbers_in("/proc"), has that file open. False where we may not look.
[[nodiscard]] inline bool has_open(const std::string& process, const struct stat& file) {
  const std::string descriptors = "/proc/" + process + "/fd";
  for (const std::string& number : numbers_in(descriptors)) {
    struct stat status {};
    if (::stat((descriptors + "/" + number).c_str(), &status) == 0 && status.st_dev == file.st_dev && status.st_ino == file.st_ino) return true;
  }
  return false;
}

/// SIGKILL to `pid` if `still()` says, once its descriptor is held, that it is who was meant. Waits until it has gone, at most `limit`.
inline void kill_process(std::int64_t pid, const std::function<bool()>& still, std::chrono::milliseconds limit) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (!process || !still() || ::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) return;
  pollfd gone{process.get(), POLLIN, 0};
  while (::poll(&gone, 1, static_cast<int>(limit.count())) < 0 && errno == EINTR) {
  }
}

}  // namespace kortex
#endif
