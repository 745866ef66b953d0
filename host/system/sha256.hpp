/// SHA-256 (FIPS 180-4), to compare files with what somebody said they are.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace kortex::host {

class Sha256 {
 public:
  void add(std::string_view bytes);
  /// In lower-case hexadecimal digits. The object is spent.
  [[nodiscard]] std::string digest();

 private:
  void block(const unsigned char* bytes);

  std::array<std::uint32_t, 8> m_state{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<unsigned char, 64> m_pending{};
  std::size_t m_pending_size = 0;
  std::uint64_t m_total = 0;
};

/// Of a regular file. Throws std::system_error, as read_file() does.
[[nodiscard]] std::string sha256_of_file(const std::filesystem::path& file);

/// 64 hexadecimal digits.
[[nodiscard]] bool is_sha256(std::string_view text);

}  // namespace kortex::host
