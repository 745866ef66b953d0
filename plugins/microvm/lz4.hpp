/// The one compression of kernels that no essential package of a distribution brings a program for.
#pragma once

#include <string>
#include <string_view>

namespace kortex::microvm {

/// A stream in LZ4's legacy format, as kernels are packed; "": it is none, or broken.
[[nodiscard]] std::string unpack_lz4_legacy(std::string_view packed);

}  // namespace kortex::microvm
