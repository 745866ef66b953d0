#include "processes.hpp"

#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <string_view>
#include <vector>

#include <kortex/fd.hpp>

#include "paths.hpp"

namespace kortex::process {

namespace {

using namespace std::chrono_literals;

std::vector<std::string> numbers_in(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  if (!listing) return names;
  while (const dirent* entry = ::readdir(listing.get()))
    if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9') names.emplace_back(entry->d_name);
  return names;
}

bool has_open(const std::string& process, const struct stat& file) {
  const std::string descriptors = "/proc/" + process + "/fd";
  for (const std::string& number : numbers_in(descriptors)) {
    struct stat status {};
    if (::stat((descriptors + "/" + number).c_str(), &status) == 0 && status.st_dev == file.st_dev && status.st_ino == file.st_ino)
      return true;
  }
  return false;
}

bool is_marked(const std::string& process, const std::string& marker) {
  const std::string environment = contents("/proc/" + process + "/environ", 4 * 1024 * 1024);
  for (std::size_t at = environment.find(marker); at != std::string::npos; at = environment.find(marker, at + 1)) {
    const std::size_t end = at + marker.size();
    if ((at == 0 || environment[at - 1] == '\0') && (end == environment.size() || environment[end] == '\0')) return true;
  }
  return false;
}

}  // namespace

void kill_process(std::int64_t pid, const std::function<bool()>& still, std::chrono::milliseconds limit) {
  const Fd process(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(pid), 0)));
  if (!process || !still()) return;
  if (::syscall(SYS_pidfd_send_signal, process.get(), SIGKILL, nullptr, 0) != 0) return;
  pollfd gone{process.get(), POLLIN, 0};
  while (::poll(&gone, 1, static_cast<int>(limit.count())) < 0 && errno == EINTR) {
  }
}

void kill_instance(const InstanceFiles& files) {
  if (const std::int64_t pid = files.holder_pid(); pid != 0)
    kill_process(pid, [&] { return files.holder_pid() == pid; }, 5000ms);
  if (!files.alive()) return;
  struct stat story {};
  if (::stat(files.path("session.status").c_str(), &story) != 0) return;
  const std::string self = std::to_string(::getpid());
  for (const std::string& process : numbers_in("/proc"))
    if (process != self && has_open(process, story))
      kill_process(std::atoll(process.c_str()), [&] { return has_open(process, story); }, 5000ms);
}

void kill_marked(const std::string& marker) {
  const std::string self = std::to_string(::getpid());
  // What is killed may have forked a moment before, so until a whole round finds nobody.
  for (int round = 0; round < 100; ++round) {
    bool found = false;
    for (const std::string& process : numbers_in("/proc")) {
      if (process == self || !is_marked(process, marker)) continue;
      found = true;
      kill_process(std::atoll(process.c_str()), [&] { return is_marked(process, marker); }, 2000ms);
    }
    if (!found) return;
  }
}

}  // namespace kortex::process
