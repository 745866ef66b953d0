/// What a shared object says without being loaded. Every offset is checked against the file's size.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kortex::check {

struct ElfFile {
  /// Throws Failed: not a shared object for this machine, or damaged.
  [[nodiscard]] static ElfFile read(const std::string& path);

  struct Note {
    std::uint16_t abi_major = 0, abi_minor = 0, min_host_minor = 0;
    std::string json;
  };
  std::vector<Note> notes;           ///< ours, in segments that a host sees
  std::vector<std::string> needed;   ///< DT_NEEDED
  std::vector<std::string> exported; ///< defined global and weak symbols
  std::string search_path;           ///< DT_RPATH and DT_RUNPATH
  bool executable_stack = true;      ///< until PT_GNU_STACK says otherwise
  bool writable_code = false;        ///< a segment to write and to execute
  bool relro = false, bind_now = false, text_relocations = false;
};

}  // namespace kortex::check
