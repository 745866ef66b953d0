/// Kernel modules by name, from a modules directory as depmod(8) describes it.
#pragma once

#include <functional>
#include <map>
#include <set>
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
  std::string m_directory;
  std::map<std::string, std::string, std::less<>> m_dependencies;  // a module's line of modules.dep
  std::set<std::string, std::less<>> m_built_in;
};

/// The module without what is for debuggers and tracers alone (types, tables for walking the stack), which takes the
/// kernel longer to digest than the rest, and without the signature that no longer fits. What is not understood stays
/// as it is.
[[nodiscard]] std::string slim_module(std::string bytes);

/// "kernel/fs/fuse/virtio-fs.ko.xz" → "virtio_fs"
[[nodiscard]] std::string module_name(const std::string& path);

}  // namespace kortex::microvm
