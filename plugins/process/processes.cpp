#include "processes.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include <kortex/processes.hpp>

#include "paths.hpp"

namespace kortex::process {

namespace {

using namespace std::chrono_literals;

bool is_marked(const std::string& process, const std::string& marker) {
  const std::string environment = contents("/proc/" + process + "/environ", 4 * 1024 * 1024);
  for (std::size_t at = environment.find(marker); at != std::string::npos; at = environment.find(marker, at + 1)) {
    const std::size_t end = at + marker.size();
    if ((at == 0 || environment[at - 1] == '\0') && (end == environment.size() || environment[end] == '\0')) return true;
  }
  return false;
}

}  // namespace

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

std::int64_t find_marked(const std::string& marker) {
  const std::string self = std::to_string(::getpid());
  for (const std::string& process : numbers_in("/proc"))
    if (process != self && is_marked(process, marker)) return std::atoll(process.c_str());
  return 0;
}

}  // namespace kortex::process
