/// Texts that live as long as their pool. One block of memory for hundreds of them: ten thousand workspaces have more
/// than a hundred thousand texts, and an allocation of each would take longer than reading them.
#pragma once

#include <cstddef>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string_view>
#include <vector>

namespace kortex::host {

class TextPool {
 public:
  /// A copy of the parts in a row, with a NUL behind it.
  std::string_view keep(std::initializer_list<std::string_view> parts) {
    std::size_t size = 0;
    for (const std::string_view part : parts) size += part.size();
    char* const place = room(size + 1);
    char* at = place;
    for (const std::string_view part : parts) {
      if (!part.empty()) std::memcpy(at, part.data(), part.size());
      at += part.size();
    }
    *at = '\0';
    return {place, size};
  }
  std::string_view keep(std::string_view text) { return keep({text}); }

 private:
  static constexpr std::size_t block_size = 64 * 1024;

  char* room(std::size_t size) {
    if (size > m_left) {
      m_left = size > block_size ? size : block_size;
      // Not make_unique: it would clear the memory.
      m_blocks.emplace_back(new char[m_left]);
      m_free = m_blocks.back().get();
    }
    char* const place = m_free;
    m_free += size;
    m_left -= size;
    return place;
  }

  std::vector<std::unique_ptr<char[]>> m_blocks;
  char* m_free = nullptr;
  std::size_t m_left = 0;
};

}  // namespace kortex::host
