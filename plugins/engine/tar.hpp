/// The little of tar that engines' archive calls need: directories and files by ustar headers.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace kortex::engine {

class TarWriter {
 public:
  /// `path`: relative, at most 255 bytes with a '/' where ustar needs one. Throws Error for one that is longer.
  void directory(const std::string& path, unsigned mode, std::uint32_t uid, std::uint32_t gid);
  void file(const std::string& path, unsigned mode, std::uint32_t uid, std::uint32_t gid, std::string_view content);
  /// The whole archive; the writer is spent.
  [[nodiscard]] std::string finish();

 private:
  void header(const std::string& path, char type, unsigned mode, std::uint32_t uid, std::uint32_t gid, std::uint64_t size);
  std::string m_bytes;
};

/// Calls `each` with the name and content of every regular file. What is cut off or not understood ends the reading.
void read_tar(std::string_view archive, const std::function<void(const std::string& name, std::string_view content)>& each);

}  // namespace kortex::engine
