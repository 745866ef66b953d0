// A file that is said to be a runtime.
#include "note_invariants.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  kortex::fuzz::require_sound(kortex::host::read_note(size, kortex::fuzz::reader_of(data, size)));
  return 0;
}
