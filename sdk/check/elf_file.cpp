#include "elf_file.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <kortex/fd.hpp>
#include <kortex/runtime.h>

#include "test.hpp"

namespace kortex::check {
namespace {

constexpr std::uint64_t max_file_size = std::uint64_t{1} << 30;

std::string bytes_of(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0) fail("the file cannot be opened: " + std::string(std::strerror(errno)));
  if (!S_ISREG(status.st_mode)) fail("it is not a regular file");
  if (static_cast<std::uint64_t>(status.st_size) > max_file_size) fail("the file is larger than 1 GiB");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  for (std::size_t at = 0; at < bytes.size();) {
    const ssize_t n = ::pread(fd.get(), bytes.data() + at, bytes.size() - at, static_cast<off_t>(at));
    if (n <= 0) fail("the file cannot be read: " + std::string(std::strerror(n < 0 ? errno : EIO)));
    at += static_cast<std::size_t>(n);
  }
  return bytes;
}

class Reader {
 public:
  explicit Reader(std::string bytes) : m_bytes(std::move(bytes)) {}

  template <class T>
  [[nodiscard]] T at(std::uint64_t offset) const {
    T value;
    std::memcpy(&value, part(offset, sizeof value).data(), sizeof value);
    return value;
  }
  [[nodiscard]] std::string_view part(std::uint64_t offset, std::uint64_t size) const {
    if (offset > m_bytes.size() || size > m_bytes.size() - offset) fail("the file is truncated");
    return std::string_view(m_bytes).substr(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
  }
  [[nodiscard]] std::string text(std::uint64_t offset) const {
    const std::string_view rest = part(offset, m_bytes.size() - std::min<std::uint64_t>(offset, m_bytes.size()));
    const std::size_t end = rest.find('\0');
    if (end == std::string_view::npos) fail("the file is truncated");
    return std::string(rest.substr(0, end));
  }

 private:
  std::string m_bytes;
};

struct Dynamic {
  std::uint64_t strings = 0, symbols = 0, hash = 0, gnu_hash = 0;
  std::vector<std::uint64_t> needed, search;
};

class Reading {
 public:
  Reading(const Reader& file, ElfFile& out) : m_file(file), m_out(out) {}

  void run() {
    const auto header = m_file.at<ElfW(Ehdr)>(0);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) fail("it is not an ELF file");
    if (header.e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32)) fail("it is built for another word size");
    if (header.e_type != ET_DYN) fail("it is not a shared object");
    if (header.e_phentsize != sizeof(ElfW(Phdr)) || header.e_phnum == 0) fail("its ELF header is damaged");
    for (unsigned i = 0; i < header.e_phnum; ++i)
      m_segments.push_back(m_file.at<ElfW(Phdr)>(header.e_phoff + std::uint64_t{i} * sizeof(ElfW(Phdr))));
    for (const ElfW(Phdr) & segment : m_segments) read_segment(segment);
    read_symbols();
  }

 private:
  void read_segment(const ElfW(Phdr) & segment) {
    switch (segment.p_type) {
      case PT_GNU_STACK: m_out.executable_stack = (segment.p_flags & PF_X) != 0; break;
      case PT_GNU_RELRO: m_out.relro = true; break;
      case PT_LOAD:
        (void)m_file.part(segment.p_offset, segment.p_filesz);
        m_out.writable_code = m_out.writable_code || ((segment.p_flags & PF_W) != 0 && (segment.p_flags & PF_X) != 0);
        break;
      case PT_NOTE: read_notes(m_file.part(segment.p_offset, segment.p_filesz)); break;
      case PT_DYNAMIC: read_dynamic(segment); break;
      default: break;
    }
  }

  void read_notes(std::string_view notes) {
    const auto padded = [](std::uint32_t size) { return (std::size_t{size} + 3) & ~std::size_t{3}; };
    while (notes.size() >= sizeof(ElfW(Nhdr))) {
      ElfW(Nhdr) header;
      std::memcpy(&header, notes.data(), sizeof header);
      notes.remove_prefix(sizeof header);
      if (padded(header.n_namesz) > notes.size() || header.n_descsz > notes.size() - padded(header.n_namesz)) fail("its notes are damaged");
      const std::string_view owner = notes.substr(0, header.n_namesz);
      const std::string_view text = notes.substr(padded(header.n_namesz), header.n_descsz);
      if (header.n_type == KORTEX_NOTE_TYPE && owner == std::string_view(KORTEX_NOTE_OWNER, sizeof KORTEX_NOTE_OWNER)) {
        std::uint16_t numbers[4];
        if (text.size() <= sizeof numbers) fail("its plugin note is too short");
        std::memcpy(numbers, text.data(), sizeof numbers);
        const std::string_view json = text.substr(sizeof numbers);
        m_out.notes.push_back({numbers[0], numbers[1], numbers[2], std::string(json.substr(0, json.find('\0')))});
      }
      notes.remove_prefix(std::min(notes.size(), padded(header.n_namesz) + padded(header.n_descsz)));
    }
  }

  void read_dynamic(const ElfW(Phdr) & segment) {
    for (std::uint64_t at = 0; at + sizeof(ElfW(Dyn)) <= segment.p_filesz; at += sizeof(ElfW(Dyn))) {
      const auto entry = m_file.at<ElfW(Dyn)>(segment.p_offset + at);
      const std::uint64_t value = entry.d_un.d_val;
      switch (entry.d_tag) {
        case DT_NULL: return;
        case DT_NEEDED: m_dynamic.needed.push_back(value); break;
        case DT_RPATH:
        case DT_RUNPATH: m_dynamic.search.push_back(value); break;
        case DT_STRTAB: m_dynamic.strings = value; break;
        case DT_SYMTAB: m_dynamic.symbols = value; break;
        case DT_HASH: m_dynamic.hash = value; break;
        case DT_GNU_HASH: m_dynamic.gnu_hash = value; break;
        case DT_TEXTREL: m_out.text_relocations = true; break;
        case DT_BIND_NOW: m_out.bind_now = true; break;
        case DT_FLAGS:
          m_out.text_relocations = m_out.text_relocations || (value & DF_TEXTREL) != 0;
          m_out.bind_now = m_out.bind_now || (value & DF_BIND_NOW) != 0;
          break;
        case DT_FLAGS_1: m_out.bind_now = m_out.bind_now || (value & DF_1_NOW) != 0; break;
        default: break;
      }
    }
  }

  [[nodiscard]] std::uint64_t offset_of(std::uint64_t address) const {
    for (const ElfW(Phdr) & segment : m_segments)
      if (segment.p_type == PT_LOAD && address >= segment.p_vaddr && address - segment.p_vaddr < segment.p_filesz)
        return segment.p_offset + (address - segment.p_vaddr);
    fail("its dynamic section points outside the file");
  }

  /// As many as the hash tables know of: all that another file can find.
  [[nodiscard]] std::uint64_t symbol_count() const {
    if (m_dynamic.hash != 0) return m_file.at<std::uint32_t>(offset_of(m_dynamic.hash) + 4);
    if (m_dynamic.gnu_hash == 0) return 0;
    const std::uint64_t table = offset_of(m_dynamic.gnu_hash);
    const std::uint64_t buckets = m_file.at<std::uint32_t>(table), first = m_file.at<std::uint32_t>(table + 4);
    const std::uint64_t bloom = m_file.at<std::uint32_t>(table + 8);
    const std::uint64_t bucket_at = table + 16 + bloom * sizeof(ElfW(Addr)), chain_at = bucket_at + buckets * 4;
    std::uint64_t last = 0;
    for (std::uint64_t i = 0; i < buckets; ++i) last = std::max<std::uint64_t>(last, m_file.at<std::uint32_t>(bucket_at + i * 4));
    if (last < first) return 0;
    while ((m_file.at<std::uint32_t>(chain_at + (last - first) * 4) & 1) == 0) ++last;
    return last + 1;
  }

  void read_symbols() {
    if (m_dynamic.strings == 0) fail("it has no dynamic section");
    const std::uint64_t strings = offset_of(m_dynamic.strings);
    for (const std::uint64_t name : m_dynamic.needed) m_out.needed.push_back(m_file.text(strings + name));
    for (const std::uint64_t path : m_dynamic.search) m_out.search_path += (m_out.search_path.empty() ? "" : ":") + m_file.text(strings + path);
    if (m_dynamic.symbols == 0) return;
    const std::uint64_t table = offset_of(m_dynamic.symbols), count = symbol_count();
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto symbol = m_file.at<ElfW(Sym)>(table + i * sizeof(ElfW(Sym)));
      const unsigned binding = symbol.st_info >> 4, visibility = symbol.st_other & 3;
      if (symbol.st_shndx == SHN_UNDEF || binding == STB_LOCAL || visibility == STV_HIDDEN || visibility == STV_INTERNAL) continue;
      m_out.exported.push_back(m_file.text(strings + symbol.st_name));
    }
  }

  const Reader& m_file;
  ElfFile& m_out;
  std::vector<ElfW(Phdr)> m_segments;
  Dynamic m_dynamic;
};

}  // namespace

ElfFile ElfFile::read(const std::string& path) {
  const Reader file(bytes_of(path));
  ElfFile out;
  Reading(file, out).run();
  return out;
}

}  // namespace kortex::check
