#include "runtimes/elf_note.hpp"

#if !defined(__APPLE__)
#include <elf.h>
#endif
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <vector>

#include <kortex/runtime.h>

#include "runtimes/macho_note.hpp"
#include "runtimes/text.hpp"
#include "system/error.hpp"

namespace kortex::host {
namespace {

using Status = NoteResult::Status;

#if !defined(__APPLE__)
#if __SIZEOF_POINTER__ == 8
using FileHeader = Elf64_Ehdr;
using ProgramHeader = Elf64_Phdr;
constexpr unsigned char our_class = ELFCLASS64;
#else
using FileHeader = Elf32_Ehdr;
using ProgramHeader = Elf32_Phdr;
constexpr unsigned char our_class = ELFCLASS32;
#endif
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
constexpr unsigned char our_byte_order = ELFDATA2LSB;
#else
constexpr unsigned char our_byte_order = ELFDATA2MSB;
#endif
#if defined(__x86_64__)
constexpr std::uint16_t our_machine = EM_X86_64;
#elif defined(__aarch64__)
constexpr std::uint16_t our_machine = EM_AARCH64;
#elif defined(__riscv)
constexpr std::uint16_t our_machine = EM_RISCV;
#elif defined(__powerpc64__)
constexpr std::uint16_t our_machine = EM_PPC64;
#elif defined(__s390x__)
constexpr std::uint16_t our_machine = EM_S390;
#elif defined(__i386__)
constexpr std::uint16_t our_machine = EM_386;
#elif defined(__arm__)
constexpr std::uint16_t our_machine = EM_ARM;
#else
#error "tell the ELF machine number of this architecture"
#endif
#endif

constexpr std::size_t max_program_headers = 256;
constexpr std::size_t max_note_size = 64 * 1024;
constexpr std::size_t max_version_size = 64;
constexpr std::size_t max_summary_size = 256;
constexpr std::size_t max_json_depth = 16;

#if !defined(__APPLE__)
std::string_view machine_name(std::uint16_t machine) {
  switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_AARCH64: return "arm64";
    case EM_RISCV: return "riscv";
    case EM_PPC64: return "ppc64";
    case EM_S390: return "s390x";
    case EM_386: return "x86";
    case EM_ARM: return "arm";
    default: return "another architecture";
  }
}
#endif

NoteResult refuse(Status status, std::string reason) {
  NoteResult result;
  result.status = status;
  result.reason = std::move(reason);
  return result;
}

bool fits(std::uint64_t offset, std::uint64_t size, std::uint64_t whole) {
  return offset <= whole && size <= whole - offset;
}

std::size_t padded(std::uint32_t size) { return (std::size_t{size} + 3) & ~std::size_t{3}; }

/// What a note section of ours looks like after its owner.
struct FixedPart {
  std::uint16_t abi_major, abi_minor, min_host_minor, reserved;
};

/// "options": {"name": ["value", ...], ...}. What is not of that form is left out: it is only for completion.
std::vector<NotedOption> noted_options(const boost::json::object& note) {
  std::vector<NotedOption> out;
  const boost::json::value* value = note.if_contains("options");
  if (value == nullptr || !value->is_object()) return out;
  for (const auto& [name, values] : value->get_object()) {
    NotedOption& option = out.emplace_back();
    option.name.assign(name.data(), name.size());
    if (!values.is_array()) continue;
    for (const boost::json::value& one : values.get_array())
      if (one.is_string()) option.values.emplace_back(one.get_string().data(), one.get_string().size());
  }
  return out;
}

NoteResult parse_description(std::string_view bytes) {
  NoteResult result;
  result.status = Status::bad_note;
  if (bytes.size() < sizeof(FixedPart)) {
    result.reason = "its plugin note is too short";
    return result;
  }
  FixedPart fixed;
  std::memcpy(&fixed, bytes.data(), sizeof fixed);
  Descriptor& descriptor = result.descriptor;
  descriptor.abi_major = fixed.abi_major;
  descriptor.abi_minor = fixed.abi_minor;
  descriptor.min_host_minor = fixed.min_host_minor;

  std::string_view text = bytes.substr(sizeof fixed);
  text = text.substr(0, text.find('\0'));
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = max_json_depth;
  const boost::json::value document = boost::json::parse({text.data(), text.size()}, error, {}, options);
  if (error || !document.is_object()) {
    result.reason = "its plugin note holds no JSON object";
    return result;
  }
  const auto member = [&](const char* name) -> std::string {
    const boost::json::value* value = document.as_object().if_contains(name);
    const boost::json::string* string = value == nullptr ? nullptr : value->if_string();
    return string == nullptr ? std::string() : std::string(string->data(), string->size());
  };
  descriptor.name = member("name");
  descriptor.version = clean_line(member("version"), max_version_size);
  descriptor.summary = clean_line(member("summary"), max_summary_size);
  if (const auto* local = document.as_object().if_contains("local"); local != nullptr && local->is_bool())
    descriptor.local = local->get_bool();
  if (const auto* test = document.as_object().if_contains("test"); test != nullptr && test->is_bool())
    descriptor.test = test->get_bool();
  descriptor.options = noted_options(document.as_object());
  if (!is_runtime_name(descriptor.name)) {
    descriptor.name.clear();
    result.reason = "its plugin note holds no valid name";
  } else if (descriptor.version.empty()) {
    result.reason = "its plugin note holds no version";
  } else {
    result.status = Status::ok;
  }
  return result;
}

}  // namespace

NoteResult parse_notes(std::string_view segment) {
  struct {
    std::uint32_t n_namesz, n_descsz, n_type;
  } header;
  while (segment.size() >= sizeof header) {
    std::memcpy(&header, segment.data(), sizeof header);
    segment.remove_prefix(sizeof header);
    const std::size_t owner_size = padded(header.n_namesz);
    if (owner_size > segment.size()) break;
    const std::string_view owner = segment.substr(0, std::min<std::size_t>(header.n_namesz, segment.size()));
    segment.remove_prefix(owner_size);
    if (header.n_descsz > segment.size()) break;
    if (header.n_type == KORTEX_NOTE_TYPE && owner == std::string_view(KORTEX_NOTE_OWNER, sizeof KORTEX_NOTE_OWNER))
      return parse_description(segment.substr(0, header.n_descsz));
    segment.remove_prefix(std::min(padded(header.n_descsz), segment.size()));
  }
  return refuse(Status::no_note, "it is not a kortex plugin: it has no plugin note");
}

bool is_runtime_name(std::string_view name) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  return !name.empty() && name.size() <= 32 && lower(name[0]) &&
         std::all_of(name.begin(), name.end(), [&](char c) { return lower(c) || (c >= '0' && c <= '9') || c == '-'; });
}

#if defined(__APPLE__)
NoteResult read_note(std::uint64_t file_size, const ByteReader& read) {
#if defined(__aarch64__)
  return read_macho_note(file_size, read, MachoMachine::arm64);
#else
  return read_macho_note(file_size, read, MachoMachine::x86_64);
#endif
}
#else
NoteResult read_note(std::uint64_t file_size, const ByteReader& read) {
  if (file_size == 0) return refuse(Status::not_elf, "the file is empty");
  FileHeader file;
  if (!fits(0, sizeof file, file_size) || !read(0, &file, sizeof file) ||
      std::memcmp(file.e_ident, ELFMAG, SELFMAG) != 0)
    return is_macho(file_size, read) ? refuse(Status::wrong_machine, "it is built for macOS") : refuse(Status::not_elf, "it is not an ELF file");
  if (file.e_ident[EI_CLASS] != our_class || file.e_ident[EI_DATA] != our_byte_order)
    return refuse(Status::wrong_machine, "it is built for a different kind of machine (word size or byte order)");
  if (file.e_machine != our_machine)
    return refuse(Status::wrong_machine, "it is built for " + std::string(machine_name(file.e_machine)) +
                                             ", this machine is " + std::string(machine_name(our_machine)));
  if (file.e_type != ET_DYN) return refuse(Status::not_shared, "it is not a shared object");
  if (file.e_phentsize != sizeof(ProgramHeader) || file.e_phnum == 0)
    return refuse(Status::truncated, "its ELF header is damaged");
  if (file.e_phnum > max_program_headers) return refuse(Status::truncated, "it has too many program headers");
  std::vector<ProgramHeader> headers(file.e_phnum);
  const std::size_t table_size = headers.size() * sizeof(ProgramHeader);
  if (!fits(file.e_phoff, table_size, file_size) || !read(file.e_phoff, headers.data(), table_size))
    return refuse(Status::truncated, "the file is truncated");

  // All segments first: the loader would map (and SIGBUS on) what lies beyond the end of the file.
  for (const ProgramHeader& header : headers)
    if (header.p_type == PT_LOAD && !fits(header.p_offset, header.p_filesz, file_size))
      return refuse(Status::truncated, "the file is truncated");
  NoteResult result = refuse(Status::no_note, "it is not a kortex plugin: it has no plugin note");
  for (const ProgramHeader& header : headers) {
    if (header.p_type != PT_NOTE) continue;
    if (!fits(header.p_offset, header.p_filesz, file_size)) return refuse(Status::truncated, "the file is truncated");
    if (header.p_filesz > max_note_size) return refuse(Status::bad_note, "its notes are larger than 64 KiB");
    std::string segment(static_cast<std::size_t>(header.p_filesz), '\0');
    if (!read(header.p_offset, segment.data(), segment.size()))
      return refuse(Status::truncated, "the file is truncated");
    result = parse_notes(segment);
    if (result.status != Status::no_note) return result;
  }
  return result;
}
#endif

NoteResult read_note(int fd, std::uint64_t file_size) {
  // Linkers put the program headers and notes into the first page.
  std::array<char, 4096> page;
  std::size_t cached = 0;
  while (cached < page.size()) {
    const ssize_t n = ::pread(fd, page.data() + cached, page.size() - cached, static_cast<off_t>(cached));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return refuse(Status::not_elf, "it cannot be read: " + reason_of(errno));
    if (n == 0) break;
    cached += static_cast<std::size_t>(n);
    if (cached >= file_size) break;
  }
  return read_note(file_size, [&](std::uint64_t offset, void* buffer, std::size_t size) {
    if (fits(offset, size, cached)) {
      std::memcpy(buffer, page.data() + offset, size);
      return true;
    }
    char* to = static_cast<char*>(buffer);
    while (size > 0) {
      const ssize_t n = ::pread(fd, to, size, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return false;
      to += n;
      offset += static_cast<std::uint64_t>(n);
      size -= static_cast<std::size_t>(n);
    }
    return true;
  });
}

}  // namespace kortex::host
