/// What holds for a note however it is wrapped.
#pragma once

#include <algorithm>
#include <cstring>

#include "invariant.hpp"
#include "runtimes/elf_note.hpp"

namespace kortex::fuzz {

/// Reads of exactly these bytes.
inline host::ByteReader reader_of(const std::uint8_t* data, std::size_t size) {
  return [data, size](std::uint64_t offset, void* buffer, std::size_t wanted) {
    require(offset <= size && wanted <= size - offset, "nothing beyond the end of the file is asked for");
    if (wanted > 0) std::memcpy(buffer, data + offset, wanted);
    return true;
  };
}

inline void require_sound(const host::NoteResult& result) {
  const bool ok = result.status == host::NoteResult::Status::ok;
  require(ok == result.reason.empty(), "there is a reason unless it is a runtime");
  if (!ok) return;
  const host::Descriptor& descriptor = result.descriptor;
  require(host::is_runtime_name(descriptor.name), "a runtime has a valid name");
  const auto is_clean = [](const std::string& text) {
    return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  };
  require(!descriptor.version.empty() && is_clean(descriptor.version), "a version is a line of text");
  require(is_clean(descriptor.summary), "a summary is a line of text");
}

}  // namespace kortex::fuzz
