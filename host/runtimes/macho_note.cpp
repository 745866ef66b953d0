#include "runtimes/macho_note.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <string>

namespace kortex::host {
namespace {

using Status = NoteResult::Status;

// Of Apple's <mach-o/loader.h> and <mach-o/fat.h>, which are on macOS only.
constexpr std::uint32_t magic_64 = 0xfeedfacf, magic_32 = 0xfeedface, fat_magic = 0xcafebabe, fat_magic_64 = 0xcafebabf;
constexpr std::uint32_t object_file = 1, dynamic_library = 6, bundle = 8;
constexpr std::uint32_t segment_64 = 0x19;
constexpr std::size_t header_size = 32, command_size = 8, segment_size = 72, section_size = 80;
constexpr std::uint32_t max_commands_size = 256 * 1024, max_parts = 16;
constexpr std::size_t max_note_size = 64 * 1024;

NoteResult refuse(Status status, std::string reason) {
  NoteResult result;
  result.status = status;
  result.reason = std::move(reason);
  return result;
}

NoteResult truncated() { return refuse(Status::truncated, "the file is truncated"); }

bool fits(std::uint64_t offset, std::uint64_t size, std::uint64_t whole) { return offset <= whole && size <= whole - offset; }

// Written by hand: the file's byte order is known, the reader's is not.
std::uint32_t little_32(const char* at) {
  const auto byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
}
std::uint64_t little_64(const char* at) { return little_32(at) | static_cast<std::uint64_t>(little_32(at + 4)) << 32; }
std::uint32_t big_32(const char* at) {
  const auto byte = [at](int i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(at[i])); };
  return byte(0) << 24 | byte(1) << 16 | byte(2) << 8 | byte(3);
}
std::uint64_t big_64(const char* at) { return static_cast<std::uint64_t>(big_32(at)) << 32 | big_32(at + 4); }

std::string_view name_at(const char* at) { return {at, static_cast<std::size_t>(std::find(at, at + 16, '\0') - at)}; }

const char* machine_name(std::uint32_t type) {
  if (type == static_cast<std::uint32_t>(MachoMachine::arm64)) return "arm64";
  if (type == static_cast<std::uint32_t>(MachoMachine::x86_64)) return "x86-64";
  return "another architecture";
}

NoteResult wrong_machine(std::uint32_t its, MachoMachine ours) {
  return refuse(Status::wrong_machine, std::string("it is built for ") + machine_name(its) + ", this machine is " + machine_name(static_cast<std::uint32_t>(ours)));
}

/// The part of the file that is for the machine.
struct Part {
  std::uint64_t offset = 0, size = 0;
};

NoteResult read_section(const Part& part, const ByteReader& read, std::uint64_t offset, std::uint64_t size) {
  if (!fits(offset, size, part.size)) return truncated();
  if (size > max_note_size) return refuse(Status::bad_note, "its notes are larger than 64 KiB");
  std::string bytes(static_cast<std::size_t>(size), '\0');
  if (!read(part.offset + offset, bytes.data(), bytes.size())) return truncated();
  return parse_notes(bytes);
}

NoteResult read_part(const Part& part, const ByteReader& read, MachoMachine machine, bool objects) {
  std::array<char, header_size> header{};
  if (!fits(0, header_size, part.size) || !read(part.offset, header.data(), header_size)) return truncated();
  if (little_32(header.data()) != magic_64) return refuse(Status::wrong_machine, "it is built for a different kind of machine (word size or byte order)");
  const std::uint32_t its = little_32(&header[4]), type = little_32(&header[12]), count = little_32(&header[16]), size = little_32(&header[20]);
  if (its != static_cast<std::uint32_t>(machine)) return wrong_machine(its, machine);
  if (type != bundle && type != dynamic_library && !(objects && type == object_file)) return refuse(Status::not_shared, "it is not a shared object");
  if (size > max_commands_size) return refuse(Status::truncated, "it has too many load commands");
  std::string commands(size, '\0');
  if (!fits(header_size, size, part.size) || !read(part.offset + header_size, commands.data(), size)) return truncated();

  NoteResult result = refuse(Status::no_note, "it is not a kortex plugin: it has no plugin note");
  std::size_t at = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    if (size - at < command_size) return refuse(Status::truncated, "its load commands are damaged");
    const char* command = commands.data() + at;
    const std::uint32_t kind = little_32(command), length = little_32(command + 4);
    if (length < command_size || length > size - at) return refuse(Status::truncated, "its load commands are damaged");
    at += length;
    if (kind != segment_64) continue;
    if (length < segment_size) return refuse(Status::truncated, "its load commands are damaged");
    const std::uint64_t file_offset = little_64(command + 40), file_size = little_64(command + 48);
    // The loader would map (and SIGBUS on) what lies beyond the end of the file.
    if (!fits(file_offset, file_size, part.size)) return truncated();
    const std::uint32_t sections = little_32(command + 64);
    if (sections > (length - segment_size) / section_size) return refuse(Status::truncated, "its load commands are damaged");
    for (std::uint32_t s = 0; s < sections; ++s) {
      const char* section = command + segment_size + s * section_size;
      if (name_at(section) != "__kortex_note" || name_at(section + 16) != "__TEXT" || result.status != Status::no_note) continue;
      result = read_section(part, read, little_32(section + 48), little_64(section + 40));
    }
  }
  return result;
}

/// Of a file for several processors.
NoteResult choose_part(std::uint64_t file_size, const ByteReader& read, MachoMachine machine, bool wide, Part& chosen) {
  std::array<char, 8> header{};
  if (!fits(0, header.size(), file_size) || !read(0, header.data(), header.size())) return truncated();
  const std::uint32_t count = big_32(&header[4]);
  if (count > max_parts) return refuse(Status::truncated, "it is for too many machines");
  const std::size_t entry_size = wide ? 32 : 20;
  std::string entries(count * entry_size, '\0');
  if (!fits(header.size(), entries.size(), file_size) || !read(header.size(), entries.data(), entries.size())) return truncated();
  std::uint32_t seen = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const char* entry = entries.data() + i * entry_size;
    seen = big_32(entry);
    if (seen != static_cast<std::uint32_t>(machine)) continue;
    chosen = wide ? Part{big_64(entry + 8), big_64(entry + 16)} : Part{big_32(entry + 8), big_32(entry + 12)};
    if (!fits(chosen.offset, chosen.size, file_size)) return truncated();
    NoteResult found;
    found.status = Status::ok;
    return found;
  }
  return wrong_machine(seen, machine);
}

std::uint32_t first_word(std::uint64_t file_size, const ByteReader& read, std::uint32_t& big) {
  std::array<char, 4> bytes{};
  if (!fits(0, bytes.size(), file_size) || !read(0, bytes.data(), bytes.size())) return big = 0;
  big = big_32(bytes.data());
  return little_32(bytes.data());
}

}  // namespace

bool is_macho(std::uint64_t file_size, const ByteReader& read) {
  std::uint32_t big = 0;
  const std::uint32_t little = first_word(file_size, read, big);
  // Java's class files begin as files for several processors do; what follows is a version there, and always larger.
  if (big == fat_magic) {
    std::array<char, 8> header{};
    return fits(0, header.size(), file_size) && read(0, header.data(), header.size()) && big_32(&header[4]) <= max_parts;
  }
  return little == magic_64 || little == magic_32 || big == magic_64 || big == magic_32 || big == fat_magic_64;
}

NoteResult read_macho_note(std::uint64_t file_size, const ByteReader& read, MachoMachine machine, bool objects) {
  if (file_size == 0) return refuse(Status::not_elf, "the file is empty");
  if (!is_macho(file_size, read)) return refuse(Status::not_elf, "it is not a Mach-O file");
  std::uint32_t big = 0;
  (void)first_word(file_size, read, big);
  Part part{0, file_size};
  if (big == fat_magic || big == fat_magic_64) {
    const NoteResult found = choose_part(file_size, read, machine, big == fat_magic_64, part);
    if (found.status != Status::ok) return found;
  }
  return read_part(part, read, machine, objects);
}

}  // namespace kortex::host
