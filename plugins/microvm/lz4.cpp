#include "lz4.hpp"

#include <cstdint>
#include <cstring>

namespace kortex::microvm {

namespace {

constexpr std::size_t block_max = 8u << 20;

std::size_t number_at(std::string_view text, std::size_t at) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < 4; ++i) value |= static_cast<std::size_t>(static_cast<unsigned char>(text[at + i])) << 8 * i;
  return value;
}

/// A length that goes on in further bytes while they are 255. False: the block is broken.
bool longer(std::string_view block, std::size_t& at, std::size_t& length) {
  if (length != 15) return true;
  for (;;) {
    if (at >= block.size()) return false;
    const unsigned char more = static_cast<unsigned char>(block[at++]);
    length += more;
    if (more != 255) return true;
  }
}

bool unpack_block(std::string_view block, std::string& out) {
  const std::size_t begin = out.size();
  for (std::size_t at = 0; at < block.size();) {
    const unsigned char token = static_cast<unsigned char>(block[at++]);
    std::size_t literals = token >> 4, match = token & 15;
    if (!longer(block, at, literals) || literals > block.size() - at) return false;
    out.append(block.substr(at, literals));
    at += literals;
    if (at == block.size()) break;
    if (block.size() - at < 2) return false;
    const std::size_t offset = static_cast<unsigned char>(block[at]) | static_cast<std::size_t>(static_cast<unsigned char>(block[at + 1])) << 8;
    at += 2;
    if (!longer(block, at, match)) return false;
    match += 4;
    if (offset == 0 || offset > out.size() - begin || out.size() - begin + match > block_max) return false;
    const std::size_t from = out.size() - offset, to = out.size();
    out.resize(to + match);
    if (offset >= match) {
      std::memcpy(&out[to], &out[from], match);
    } else {
      for (std::size_t i = 0; i < match; ++i) out[to + i] = out[from + i];  // a repetition overlaps itself
    }
  }
  return true;
}

}  // namespace

std::string unpack_lz4_legacy(std::string_view packed) {
  if (packed.substr(0, 4) != std::string_view("\x02\x21\x4c\x18", 4)) return {};
  std::string out;
  for (std::size_t at = 4; at + 4 <= packed.size();) {
    const std::size_t size = number_at(packed, at);
    at += 4;
    // Behind the last block kernels have their unpacked size.
    if (size == 0 || size > packed.size() - at || (at + size == packed.size() && out.size() == size)) break;
    if (!unpack_block(packed.substr(at, size), out)) return {};
    at += size;
  }
  return out;
}

}  // namespace kortex::microvm
