/// Tar as layers of images and exports of containers have it: ustar with the extensions of pax and GNU. What is not needed to tell
/// entries apart is not interpreted, so that owners, times, extended attributes and devices come out as they went in.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace kortex::microvm {

/// What is wrong with an archive: the end of a sentence that begins with its name.
class BadArchive : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// A part of an open file.
struct Span {
  int fd = -1;
  std::uint64_t begin = 0, size = 0;
};

[[nodiscard]] Span whole_of(int fd);
/// At most `size` bytes from `offset` of it. Throws std::system_error.
[[nodiscard]] std::string read_at(const Span&, std::uint64_t offset, std::size_t size);
/// All of it to `fd`. Throws std::system_error.
void copy_to(int fd, const Span&);

struct TarEntry {
  enum class Kind : char {
    file = '0',
    hard_link = '1',
    symbolic_link = '2',
    character_device = '3',
    block_device = '4',
    directory = '5',
    fifo = '6',
    sparse_file = 'S'
  };
  Kind kind = Kind::file;
  std::string path, link;
  std::uint64_t begin = 0;  ///< where TarReader::at() finds it
  Span content;
  std::vector<std::pair<std::string, std::string>> records;  ///< of pax
  std::array<char, 512> block{};
};

/// Throws BadArchive and std::system_error.
class TarReader {
 public:
  explicit TarReader(const Span& archive) : m_archive(archive) {}
  [[nodiscard]] std::optional<TarEntry> next();
  [[nodiscard]] TarEntry at(std::uint64_t begin);
  /// next() has come to the mark of the end: not every program writes it, and what is cut off between two entries has none.
  [[nodiscard]] bool has_end() const { return m_has_end; }

 private:
  [[nodiscard]] std::string take(std::uint64_t size, const std::string& what);

  Span m_archive;
  std::uint64_t m_at = 0;
  bool m_has_end = false;
};

/// The number in a field of a header.
[[nodiscard]] std::uint64_t tar_number(const TarEntry&, std::size_t offset, std::size_t size);
inline constexpr std::pair<std::size_t, std::size_t> tar_mode{100, 8}, tar_uid{108, 8}, tar_gid{116, 8};

/// Writes an entry as another path, with its content. Throws std::system_error.
void write_entry(int fd, const TarEntry&, const std::string& path);
/// `path` as one more name of `target`.
void write_hard_link(int fd, const TarEntry&, const std::string& path, const std::string& target);
/// A directory that nobody has described.
void write_directory(int fd, const std::string& path);
void write_end(int fd);

}  // namespace kortex::microvm
