/// What is made once for many instances: unpacked kernels, initramfs images, root file systems. Names tell the
/// content. An instance keeps a hard link to what it uses, so that the number of links tells whether anybody does.
#pragma once

#include <functional>
#include <string>

namespace kortex::microvm {

class Cache {
 public:
  explicit Cache(std::string directory) : m_directory(std::move(directory)) {}

  /// The entry's path. Where it is missing `make` is given a path to make it at. Many may ask at once: the first to
  /// finish wins.
  [[nodiscard]] std::string get(const std::string& name, const std::function<void(const std::string& fresh)>& make) const;
  /// Links `entry` to `link`, which stands for its use; where that cannot be (another file system), the entry's age
  /// alone decides about it.
  void use(const std::string& entry, const std::string& link) const;
  /// Deletes what nobody has linked, and what has been touched longer ago than a fortnight or was left half made.
  void prune() const;

 private:
  std::string m_directory;
};

}  // namespace kortex::microvm
