// A file that is said to be a runtime.
#include "runtimes/elf_note.hpp"

#include <algorithm>
#include <cstring>

#include "invariant.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const NoteResult result = read_note(size, [&](std::uint64_t offset, void* buffer, std::size_t wanted) {
    require(offset <= size && wanted <= size - offset, "nothing beyond the end of the file is asked for");
    if (wanted > 0) std::memcpy(buffer, data + offset, wanted);
    return true;
  });
  const bool ok = result.status == NoteResult::Status::ok;
  require(ok == result.reason.empty(), "there is a reason unless it is a runtime");
  if (!ok) return 0;
  const Descriptor& descriptor = result.descriptor;
  require(is_runtime_name(descriptor.name), "a runtime has a valid name");
  const auto is_clean = [](const std::string& text) {
    return std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
  };
  require(!descriptor.version.empty() && is_clean(descriptor.version), "a version is a line of text");
  require(is_clean(descriptor.summary), "a summary is a line of text");
  return 0;
}
