/// The guest's root file system, below the workspace's writable overlay.
#pragma once

#include <string>

#include <kortex/call.hpp>

#include "cache.hpp"

namespace kortex::microvm {

struct Root {
  enum class Kind { host, directory, image };
  Kind kind = Kind::host;
  std::string path;         ///< of the directory or image
  std::string file_system;  ///< of the image: "ext4", "erofs", "squashfs"
};

/// `choice`: "host", or a path: a directory, an image, or a tar archive, which is made into an image once. Throws INVALID.
[[nodiscard]] Root find_root(const Call&, const Cache&, const std::string& choice);
/// The same without making anything: throws what find_root() would.
void check_root(const std::string& choice);

}  // namespace kortex::microvm
