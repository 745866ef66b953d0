/// The guest's first file system: its first program, the session holder, and just the modules it needs.
#pragma once

#include <set>
#include <string>
#include <utility>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

#include "cache.hpp"
#include "kernel.hpp"

namespace kortex::microvm {

/// How the machine's devices are found by its kernel.
enum class Bus { mmio, pci };

/// A cpio archive in the format that kernels unpack, being written.
class Archive {
 public:
  void add_directory(const std::string& name);
  void add_file(const std::string& name, const std::string& bytes, unsigned mode);
  void add_device(const std::string& name, unsigned major, unsigned minor);
  /// Complete; a multiple of 4096 bytes, for firmware that puts tables right behind it.
  [[nodiscard]] std::string finished();

 private:
  void add(const std::string& name, unsigned mode, const std::string& bytes, unsigned major = 0, unsigned minor = 0);
  std::string m_bytes;
  unsigned m_count = 0;
};

/// Throws what initramfs() would for that kernel.
void check_modules(const Kernel&, Bus, const std::set<std::string>& groups);

/// `image`, and behind it what this start alone is about, in memory: the agent's environment is on no disk.
[[nodiscard]] Fd with_files(const std::string& image, const std::vector<std::pair<std::string, std::string>>& named);

/// `groups`: "virtiofs" or "9p", and of "net", "squashfs" and "erofs" what is wanted. `holder`: the session holder's path.
/// Throws UNSUPPORTED for a kernel that lacks something.
[[nodiscard]] std::string initramfs(const Call&, const Cache&, const Kernel&, Bus, const std::set<std::string>& groups, const std::string& holder);

}  // namespace kortex::microvm
