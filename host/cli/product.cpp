#include "cli/product.hpp"

#include <kortex/runtime.h>

namespace kortex::host {

std::string_view product_version() { return KORTEX_VERSION; }

std::string abi_version() { return std::to_string(KORTEX_ABI_MAJOR) + '.' + std::to_string(KORTEX_ABI_MINOR); }

}  // namespace kortex::host
