#include "helper_image.hpp"

// The assembler puts the program's bytes between two symbols.
__asm__(
    ".pushsection .rodata\n"
    ".balign 16\n"
    ".globl kortex_check_inside_begin\n"
    ".hidden kortex_check_inside_begin\n"
    "kortex_check_inside_begin:\n"
    ".incbin \"" KORTEX_CHECK_INSIDE "\"\n"
    ".globl kortex_check_inside_end\n"
    ".hidden kortex_check_inside_end\n"
    "kortex_check_inside_end:\n"
    ".popsection\n");

extern "C" {
extern const char kortex_check_inside_begin[];
extern const char kortex_check_inside_end[];
}

namespace kortex::check {

std::string_view helper_image() {
  return {kortex_check_inside_begin, static_cast<std::size_t>(kortex_check_inside_end - kortex_check_inside_begin)};
}

}  // namespace kortex::check
