/// Kernel modules by name, from a modules directory as depmod(8) describes it.
#pragma once

#include <string>
#include <vector>

namespace kortex::microvm {

class ModuleIndex {
 public:
  /// Throws kortex::Error when there is none.
  explicit ModuleIndex(std::string directory);

  /// The files to load for `name`, in loading order, relative to the directory; empty: it is built in. Throws
  /// UNSUPPORTED: the kernel does not have it.
  [[nodiscard]] std::vector<std::string> files_of(const std::string& name) const;
  [[nodiscard]] bool has(const std::string& name) const;
  [[nodiscard]] const std::string& directory() const { return m_directory; }

 private:
  std::string m_directory, m_dependencies, m_built_in;
};

/// "kernel/fs/fuse/virtio-fs.ko.xz" → "virtio_fs"
[[nodiscard]] std::string module_name(const std::string& path);

}  // namespace kortex::microvm
