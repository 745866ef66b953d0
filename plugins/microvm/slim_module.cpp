#include <elf.h>

#include <cstring>
#include <string_view>

#include "modules.hpp"

namespace kortex::microvm {

namespace {

constexpr std::string_view signed_mark = "~Module signature appended~\n";
constexpr std::size_t signature_words = 12;  // the last four: the signature's size, the most significant byte first

constexpr std::string_view dropped[] = {".BTF", ".orc_unwind", ".orc_unwind_ip"};

/// `size` bytes at `at` are within.
bool holds(const std::string& bytes, std::uint64_t at, std::uint64_t size) { return at <= bytes.size() && size <= bytes.size() - at; }

void drop_signature(std::string& bytes) {
  const std::size_t rest = signed_mark.size() + signature_words;
  if (bytes.size() < rest || std::string_view(bytes).substr(bytes.size() - signed_mark.size()) != signed_mark) return;
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[bytes.size() - signed_mark.size() - 4 + i]);
  if (size <= bytes.size() - rest) bytes.resize(bytes.size() - rest - size);
}

}  // namespace

std::string slim_module(std::string bytes) {
  Elf64_Ehdr file{};
  if (bytes.size() < sizeof file) return bytes;
  std::memcpy(&file, bytes.data(), sizeof file);
  const bool understood = std::memcmp(file.e_ident, ELFMAG, SELFMAG) == 0 && file.e_ident[EI_CLASS] == ELFCLASS64 && file.e_ident[EI_DATA] == ELFDATA2LSB &&
                          file.e_type == ET_REL && file.e_shentsize == sizeof(Elf64_Shdr) && file.e_shstrndx < file.e_shnum &&
                          holds(bytes, file.e_shoff, std::uint64_t{file.e_shnum} * sizeof(Elf64_Shdr));
  if (!understood) return bytes;
  const auto section = [&](unsigned index) {
    Elf64_Shdr header{};
    std::memcpy(&header, bytes.data() + file.e_shoff + index * sizeof header, sizeof header);
    return header;
  };
  const Elf64_Shdr names = section(file.e_shstrndx);
  if (!holds(bytes, names.sh_offset, names.sh_size)) return bytes;
  for (unsigned index = 1; index < file.e_shnum; ++index) {
    Elf64_Shdr header = section(index);
    if (header.sh_name >= names.sh_size) continue;
    const char* const at = bytes.data() + names.sh_offset + header.sh_name;
    const std::string_view name(at, ::strnlen(at, names.sh_size - header.sh_name));
    for (const std::string_view unwanted : dropped) {
      if (name != unwanted) continue;
      // Relocations for what is not loaded are passed over by the kernel.
      header.sh_name = header.sh_type = 0;
      header.sh_flags = header.sh_size = 0;
      std::memcpy(&bytes[file.e_shoff + index * sizeof header], &header, sizeof header);
    }
  }
  drop_signature(bytes);
  return bytes;
}

}  // namespace kortex::microvm
