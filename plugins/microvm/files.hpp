/// Files and paths, as far as this plugin needs them.
#pragma once

#include <cstdint>
#include <string>

#include <kortex/fd.hpp>

namespace kortex::microvm {

[[nodiscard]] std::string quoted(const std::string& text);

/// At most `limit` bytes; "" when it cannot be read. Never waits: what is no regular file is not read.
[[nodiscard]] std::string contents(const std::string& path, std::size_t limit = std::size_t{64} << 20);
/// The same from `offset`.
[[nodiscard]] std::string contents_at(const std::string& path, std::int64_t offset, std::size_t size);
/// Writes `text` to a new file that replaces `path`. Throws std::system_error.
void replace_file(const std::string& path, const std::string& text, unsigned mode = 0600);
void write_all(int fd, const std::string& text, const std::string& path);
void make_directory(const std::string& path);

[[nodiscard]] bool exists(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);
[[nodiscard]] std::int64_t size_of(const std::string& path);  ///< -1: not there

/// No ".", "..", double slash or slash at the end.
[[nodiscard]] std::string normal(const std::string& path);
/// Symbolic links resolved as far as the path exists.
[[nodiscard]] std::string resolved(const std::string& path);
/// `path` is `directory` or lies in it. Both normal.
[[nodiscard]] bool lies_in(const std::string& path, const std::string& directory);

[[nodiscard]] std::int64_t now_ms();
[[nodiscard]] std::string boot_id();

/// Above the numbers that a child is given, so that dup2() of one never closes another. Throws std::system_error.
[[nodiscard]] Fd lifted(Fd fd, const std::string& what);
[[noreturn]] void fail_system(const std::string& what);

/// Accident-proof, not attack-proof: for names in a directory of our own.
class Digest {
 public:
  Digest& add(const std::string& bytes);
  Digest& add(std::int64_t number) { return add(std::to_string(number) + '\0'); }
  [[nodiscard]] std::string text() const;

 private:
  std::uint64_t m_first = 0xcbf29ce484222325u, m_second = 0x9ae16a3b2f90404fu;
};

}  // namespace kortex::microvm
