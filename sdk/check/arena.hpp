/// Memory for what a plugin is passed: it can be read during the operation, written by nobody, and touched by nobody
/// afterwards, so that a plugin that keeps a pointer (R4) or writes into its arguments is seen to.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <vector>

#include <kortex/runtime.h>

namespace kortex::check {

class Arena {
 public:
  /// `newer`: structs are longer than the plugin knows them, as those of a newer host are (R2).
  explicit Arena(bool newer) : m_extra(newer ? 64 : 0) {
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    m_bytes = static_cast<char*>(memory);
  }
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { ::munmap(m_bytes, size); }

  /// A growable struct, zeroed, its size filled in.
  template <class T>
  T* make() {
    char* at = take(sizeof(T) + m_extra);
    std::memset(at, 0, sizeof(T));
    std::memset(at + sizeof(T), 0xA5, m_extra);
    T* made = reinterpret_cast<T*>(at);
    made->struct_size = static_cast<std::uint32_t>(sizeof(T) + m_extra);
    return made;
  }
  const char* copy(const std::string& text) {
    char* at = take(text.size() + 1);
    std::memcpy(at, text.c_str(), text.size() + 1);
    return at;
  }
  const char* copy_or_null(const std::string& text) { return text.empty() ? nullptr : copy(text); }
  const char* const* copy(const std::vector<std::string>& texts) {
    auto** out = array<const char*>(texts.size() + 1);
    for (std::size_t i = 0; i < texts.size(); ++i) out[i] = copy(texts[i]);
    return out;
  }
  const kortex_kv* copy(const std::vector<std::pair<std::string, std::string>>& pairs) {
    auto* out = array<kortex_kv>(pairs.size() + 1);
    for (std::size_t i = 0; i < pairs.size(); ++i) out[i] = {copy(pairs[i].first), copy(pairs[i].second)};
    return out;
  }
  template <class T>
  T* array(std::size_t count) {
    char* at = take(count * sizeof(T));
    std::memset(at, 0, count * sizeof(T));
    return reinterpret_cast<T*>(at);
  }

  void seal() { ::mprotect(m_bytes, size, PROT_READ); }
  void revoke() { ::mprotect(m_bytes, size, PROT_NONE); }

 private:
  static constexpr std::size_t size = std::size_t{1} << 20;

  char* take(std::size_t wanted) {
    m_used = (m_used + alignof(std::max_align_t) - 1) & ~(alignof(std::max_align_t) - 1);
    if (wanted > size - m_used) throw std::bad_alloc();
    char* at = m_bytes + m_used;
    m_used += wanted;
    return at;
  }

  std::size_t m_extra;
  char* m_bytes = nullptr;
  std::size_t m_used = 0;
};

}  // namespace kortex::check
