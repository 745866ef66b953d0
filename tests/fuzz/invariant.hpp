/// What must hold for every input, besides that nothing but the documented exception leaves: that one is caught by its
/// type, so that any other ends the program.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace kortex::fuzz {

inline void require(bool holds, const char* invariant) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", invariant);
  std::abort();
}

inline std::string_view text_of(const std::uint8_t* data, std::size_t size) {
  return size == 0 ? std::string_view("") : std::string_view(reinterpret_cast<const char*>(data), size);
}

}  // namespace kortex::fuzz

/// libFuzzer calls it, and replay.cpp.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
