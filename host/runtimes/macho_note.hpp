/// The plugin's note in a Mach-O file, which is what a plugin is on macOS: the same bytes as the ELF note, in the section
/// __TEXT,__kortex_note. Read as carefully as that: every offset and size is checked against the file's, nothing is mapped.
/// Pure bytes, so that it is compiled and tested everywhere.
#pragma once

#include "runtimes/elf_note.hpp"

namespace kortex::host {

/// Which processor's code to look for; of a file for several, the part for that one.
enum class MachoMachine : std::uint32_t { x86_64 = 0x01000007, arm64 = 0x0100000c };

/// The file begins as a Mach-O file does, for one processor or for several.
[[nodiscard]] bool is_macho(std::uint64_t file_size, const ByteReader& read);

/// `objects`: what a compiler makes of one source is read as well; it cannot be loaded.
[[nodiscard]] NoteResult read_macho_note(std::uint64_t file_size, const ByteReader& read, MachoMachine machine, bool objects = false);

}  // namespace kortex::host
