// The same as it is on macOS, for one processor and for several.
#include "runtimes/macho_note.hpp"

#include "note_invariants.hpp"

using namespace kortex::host;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ByteReader read = kortex::fuzz::reader_of(data, size);
  for (const MachoMachine machine : {MachoMachine::arm64, MachoMachine::x86_64}) {
    const NoteResult result = read_macho_note(size, read, machine);
    kortex::fuzz::require_sound(result);
    kortex::fuzz::require(is_macho(size, read) || result.status == NoteResult::Status::not_elf, "nothing is read from what is no Mach-O file");
    if (result.status == NoteResult::Status::ok)
      kortex::fuzz::require(read_macho_note(size, read, machine, true).status == NoteResult::Status::ok, "a runtime is one where objects are, too");
  }
  return 0;
}
