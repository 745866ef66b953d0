/// The guest's kernel: the one that was named, this machine's own, or the newest of the distribution's packages.
#pragma once

#include <string>

#include <kortex/call.hpp>

#include "cache.hpp"

namespace kortex::microvm {

struct Kernel {
  std::string path;     ///< as installed
  std::string release;  ///< "6.1.0-18-cloud-amd64"
  std::string modules;  ///< its modules' directory
};

/// `path`, `modules`: as given by options; empty: to be found. Throws UNAVAILABLE, INVALID.
[[nodiscard]] Kernel find_kernel(const std::string& path, const std::string& modules);

/// What QEMU is to load: unpacked once and kept, because unpacking is slow in an emulated machine; the kernel as
/// it is where its packing is not known.
[[nodiscard]] std::string bootable(const Call&, const Cache&, const Kernel&);

}  // namespace kortex::microvm
