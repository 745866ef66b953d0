/// The plugin's ELF note, read without trusting a byte of the file: every offset and size is checked against
/// the file's size, the number of program headers and the size of the note are bounded, nothing is mapped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtimes/registry.hpp"

namespace kortex::host {

/// Reads exactly `size` bytes at `offset` into `buffer`; false when they are not there.
using ByteReader = std::function<bool(std::uint64_t offset, void* buffer, std::size_t size)>;

struct NoteResult {
  enum class Status {
    ok,
    not_elf,
    wrong_machine,  ///< class, byte order or architecture is not ours
    not_shared,     ///< not a shared object
    truncated,      ///< headers point outside the file
    no_note,
    bad_note,
  };
  Status status = Status::no_note;
  Descriptor descriptor;  ///< when ok; its ABI numbers also when bad_note for the sake of the JSON
  std::string reason;     ///< unless ok: "not an ELF file", ...
};

/// What is in a section of notes: looks for ours among them. no_note: it is not there.
[[nodiscard]] NoteResult parse_notes(std::string_view section);

/// Pure: the same bytes give the same answer. `file_size` bytes can be read.
[[nodiscard]] NoteResult read_note(std::uint64_t file_size, const ByteReader& read);

/// From an open regular file; one pread normally.
[[nodiscard]] NoteResult read_note(int fd, std::uint64_t file_size);

/// [a-z][a-z0-9-]{0,31}
[[nodiscard]] bool is_runtime_name(std::string_view name);

}  // namespace kortex::host
