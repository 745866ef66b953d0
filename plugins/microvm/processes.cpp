#include "processes.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include <kortex/processes.hpp>

#include "files.hpp"

namespace kortex::microvm {

namespace {

using namespace std::chrono_literals;

/// QEMU with that name, or bubblewrap around it, whose arguments hold QEMU's.
bool runs(const std::string& process, const std::string& name) {
  struct stat owner {};
  const std::string folder = "/proc/" + process;
  if (::stat(folder.c_str(), &owner) != 0 || owner.st_uid != ::geteuid()) return false;
  const std::string given = std::string("\0-name\0", 7) + name + '\0';
  return contents(folder + "/cmdline", 1 << 20).find(given) != std::string::npos;
}

bool is_qemu(const std::string& process) {
  const std::string program = contents("/proc/" + process + "/cmdline", 4096).c_str();
  return program.compare(program.rfind('/') + 1, 12, "qemu-system-") == 0;
}

std::vector<std::string> all_of(const std::string& name) {
  std::vector<std::string> found;
  for (const std::string& process : numbers_in("/proc"))
    if (runs(process, name)) found.push_back(process);
  return found;
}

}  // namespace

std::int64_t find_machine(const std::string& name) {
  std::int64_t around = 0;  // a start that has not come as far as QEMU
  for (const std::string& process : all_of(name)) {
    if (is_qemu(process)) return std::atoll(process.c_str());
    around = std::atoll(process.c_str());
  }
  return around;
}

void kill_machine(const std::string& name) {
  // Bubblewrap may be about to start QEMU, so until a round finds nobody.
  for (int round = 0; round < 100; ++round) {
    const std::vector<std::string> found = all_of(name);
    if (found.empty()) return;
    for (const std::string& process : found) kill_process(std::atoll(process.c_str()), [&] { return runs(process, name); }, 10000ms);
  }
}

}  // namespace kortex::microvm
