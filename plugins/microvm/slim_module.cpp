#include <elf.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "modules.hpp"

namespace kortex::microvm {

namespace {

constexpr std::string_view signed_mark = "~Module signature appended~\n";
constexpr std::size_t signature_words = 12;  // the last four: the signature's size, the most significant byte first

constexpr std::string_view dropped[] = {".BTF", ".orc_unwind", ".orc_unwind_ip"};
constexpr std::string_view call_places = "__mcount_loc";

/// `size` bytes at `at` are within.
bool holds(const std::string& bytes, std::uint64_t at, std::uint64_t size) { return at <= bytes.size() && size <= bytes.size() - at; }

void drop_signature(std::string& bytes) {
  const std::size_t rest = signed_mark.size() + signature_words;
  if (bytes.size() < rest || std::string_view(bytes).substr(bytes.size() - signed_mark.size()) != signed_mark) return;
  std::size_t size = 0;
  for (std::size_t i = 0; i < 4; ++i) size = size << 8 | static_cast<unsigned char>(bytes[bytes.size() - signed_mark.size() - 4 + i]);
  if (size <= bytes.size() - rest) bytes.resize(bytes.size() - rest - size);
}

template <class Record>
Record record_at(const std::string& bytes, std::uint64_t at) {
  Record record{};
  std::memcpy(&record, bytes.data() + at, sizeof record);
  return record;
}

template <class Record>
void put_record(std::string& bytes, std::uint64_t at, const Record& record) {
  std::memcpy(&bytes[at], &record, sizeof record);
}

/// An object file's sections.
class Sections {
 public:
  /// understood(): all that is asked for below lies within.
  Sections(std::string& bytes) : m_bytes(bytes) {
    if (bytes.size() < sizeof m_file) return;
    m_file = record_at<Elf64_Ehdr>(bytes, 0);
    m_understood = std::memcmp(m_file.e_ident, ELFMAG, SELFMAG) == 0 && m_file.e_ident[EI_CLASS] == ELFCLASS64 && m_file.e_ident[EI_DATA] == ELFDATA2LSB &&
                   m_file.e_type == ET_REL && m_file.e_shentsize == sizeof(Elf64_Shdr) && m_file.e_shstrndx < m_file.e_shnum &&
                   holds(bytes, m_file.e_shoff, std::uint64_t{m_file.e_shnum} * sizeof(Elf64_Shdr)) && holds_all(at(m_file.e_shstrndx));
  }

  [[nodiscard]] bool understood() const { return m_understood; }
  [[nodiscard]] unsigned count() const { return m_file.e_shnum; }
  [[nodiscard]] bool is_for_x86_64() const { return m_file.e_machine == EM_X86_64; }
  [[nodiscard]] Elf64_Shdr at(unsigned index) const { return record_at<Elf64_Shdr>(m_bytes, m_file.e_shoff + index * sizeof(Elf64_Shdr)); }
  [[nodiscard]] bool holds_all(const Elf64_Shdr& section) const { return holds(m_bytes, section.sh_offset, section.sh_size); }
  [[nodiscard]] std::string_view name(const Elf64_Shdr& section) const { return text(at(m_file.e_shstrndx), section.sh_name); }
  [[nodiscard]] std::string_view text(const Elf64_Shdr& table, std::uint64_t offset) const {
    if (offset >= table.sh_size) return {};
    const char* const begin = m_bytes.data() + table.sh_offset + offset;
    return {begin, ::strnlen(begin, table.sh_size - offset)};
  }
  /// Relocations for what is not loaded are passed over by the kernel.
  void drop(unsigned index) {
    Elf64_Shdr header = at(index);
    header.sh_name = header.sh_type = 0;
    header.sh_flags = header.sh_size = 0;
    put_record(m_bytes, m_file.e_shoff + index * sizeof header, header);
  }
  /// 0: there is none.
  [[nodiscard]] unsigned relocations_of(unsigned section) const {
    for (unsigned index = 1; index < count(); ++index)
      if (const Elf64_Shdr header = at(index); header.sh_type == SHT_RELA && header.sh_info == section && holds_all(header)) return index;
    return 0;
  }

 private:
  std::string& m_bytes;
  Elf64_Ehdr m_file{};
  bool m_understood = false;
};

/// Every function begins with a call that a tracer could use. The kernel has a list of them, and makes each into nothing when it loads
/// the module; that is done here once for all, and there is no list. False: it is not as expected, and nothing was changed.
bool silence_trace_calls(std::string& bytes, const Sections& sections, unsigned list) {
  constexpr std::string_view nothing("\x0f\x1f\x44\x00\x00", 5);
  const unsigned places = sections.relocations_of(list);
  if (!sections.is_for_x86_64() || places == 0) return false;
  const Elf64_Shdr place_table = sections.at(places);
  if (place_table.sh_link >= sections.count()) return false;
  const Elf64_Shdr symbols = sections.at(place_table.sh_link);
  if (!sections.holds_all(symbols) || symbols.sh_link >= sections.count() || !sections.holds_all(sections.at(symbols.sh_link))) return false;
  const auto symbol = [&](std::uint64_t info) {
    const std::uint64_t at = ELF64_R_SYM(info) * sizeof(Elf64_Sym);
    return at + sizeof(Elf64_Sym) <= symbols.sh_size ? record_at<Elf64_Sym>(bytes, symbols.sh_offset + at) : Elf64_Sym{};
  };
  // By section and offset: where the call's target is told.
  std::map<std::pair<unsigned, std::uint64_t>, std::uint64_t> calls;
  for (unsigned index = 1; index < sections.count(); ++index) {
    const Elf64_Shdr table = sections.at(index);
    if (table.sh_type != SHT_RELA || !sections.holds_all(table) || table.sh_link != place_table.sh_link) continue;
    for (std::uint64_t at = table.sh_offset; at + sizeof(Elf64_Rela) <= table.sh_offset + table.sh_size; at += sizeof(Elf64_Rela)) {
      const auto relocation = record_at<Elf64_Rela>(bytes, at);
      if (sections.text(sections.at(symbols.sh_link), symbol(relocation.r_info).st_name) == "__fentry__") calls[{table.sh_info, relocation.r_offset}] = at;
    }
  }
  struct Change {
    std::uint64_t code, relocation;
  };
  std::vector<Change> changes;
  for (std::uint64_t at = place_table.sh_offset; at + sizeof(Elf64_Rela) <= place_table.sh_offset + place_table.sh_size; at += sizeof(Elf64_Rela)) {
    const auto place = record_at<Elf64_Rela>(bytes, at);
    const Elf64_Sym in = symbol(place.r_info);
    const std::uint64_t offset = in.st_value + static_cast<std::uint64_t>(place.r_addend);
    const auto call = calls.find({in.st_shndx, offset + 1});
    if (call == calls.end()) return false;
    const Elf64_Shdr section = sections.at(in.st_shndx);
    if (!sections.holds_all(section) || !holds(bytes, section.sh_offset + offset, nothing.size()) || bytes[section.sh_offset + offset] != '\xe8') return false;
    changes.push_back({section.sh_offset + offset, call->second});
  }
  if (changes.size() != calls.size()) return false;
  for (const Change& change : changes) {
    bytes.replace(change.code, nothing.size(), nothing);
    auto relocation = record_at<Elf64_Rela>(bytes, change.relocation);
    relocation.r_info = ELF64_R_INFO(0, R_X86_64_NONE);
    put_record(bytes, change.relocation, relocation);
  }
  return true;
}

}  // namespace

std::string slim_module(std::string bytes) {
  Sections sections(bytes);
  if (!sections.understood()) return bytes;
  for (unsigned index = 1; index < sections.count(); ++index) {
    const std::string_view name = sections.name(sections.at(index));
    const bool unwanted = std::find(std::begin(dropped), std::end(dropped), name) != std::end(dropped);
    if (unwanted || (name == call_places && silence_trace_calls(bytes, sections, index))) sections.drop(index);
  }
  drop_signature(bytes);
  return bytes;
}

}  // namespace kortex::microvm
