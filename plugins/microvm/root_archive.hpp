/// A tar archive that a root file system is made of: one of the file system itself (`podman export`), or an image in layers; packed by gzip,
/// xz or zstd, as a whole or layer by layer.
#pragma once

#include <list>
#include <string>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

#include "layers.hpp"

namespace kortex::microvm {

class RootArchive {
 public:
  /// By its first bytes alone.
  [[nodiscard]] static bool is_one(const std::string& path);
  /// SHA-256 of the file as it is.
  [[nodiscard]] static std::string digest(const Call&, const std::string& path);

  /// Reads it. What has to be unpacked for that lies in files without a name beside `fresh`. Throws INVALID: it is damaged, or there are several
  /// images in it; UNSUPPORTED: its image is for other machines.
  RootArchive(const Call&, const std::string& path, const std::string& fresh);
  /// As one tar stream. Throws INVALID: it has changed since it was read.
  void write(int fd) const;
  [[nodiscard]] const Layers::Root& top() const { return m_layers.root(); }

 private:
  void read(const Call&);
  [[nodiscard]] std::string refusal(const BadArchive& why) const { return "cannot use '" + m_path + "' as the root: " + why.what(); }
  [[nodiscard]] Span unpacked(const Call&, const Span&, const std::string& name);

  std::string m_path, m_fresh;
  Fd m_file;
  std::list<Fd> m_unpacked;
  Layers m_layers;
};

}  // namespace kortex::microvm
