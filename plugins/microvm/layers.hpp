/// Layers of an image, one over the other, as the one file system that they make. Told apart by their headers alone; nothing is unpacked,
/// so that it takes no rights to keep owners and devices.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tar.hpp"

namespace kortex::microvm {

class Layers {
 public:
  /// Puts a layer over those before. What `layer` is in must stay open. `marks`: ".wh." before a name takes away what lies below, as images
  /// of OCI have it. `between` is called now and then. Throws BadArchive.
  void add(const Span& layer, bool marks, const std::function<void()>& between = {});

  /// All of it as one tar stream: no path twice, none that leads out, directories first, and a hard link after what it is to.
  /// Throws std::system_error.
  void write(int fd) const;

  /// Of the root directory itself, which not every reader takes from the stream.
  struct Root {
    std::uint64_t mode = 0755, uid = 0, gid = 0;
  };
  [[nodiscard]] const Root& root() const { return m_root; }
  [[nodiscard]] bool empty() const { return m_places.empty(); }

 private:
  using Kind = TarEntry::Kind;
  struct Node {
    std::size_t layer = 0;
    std::uint64_t begin = 0;
    Kind kind = Kind::file;
    std::string link;
  };
  struct Place {
    std::size_t node = 0;
    std::size_t layer = 0;  ///< that put it there: a hard link's is not its node's
  };
  using Places = std::map<std::string, Place>;

  void put(const std::string& path, std::size_t node);
  void erase(const std::string& path, bool and_itself, std::size_t before_layer);
  [[nodiscard]] std::string resolved_directory(const std::string& path) const;
  [[nodiscard]] std::string resolved(const std::string& path) const;

  std::vector<Span> m_layers;
  std::vector<Node> m_nodes;
  Places m_places;  ///< by path without "/" at either end; parents come before what they hold
  Root m_root;
};

}  // namespace kortex::microvm
