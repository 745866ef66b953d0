#pragma once

#include <string>
#include <string_view>

namespace kortex::host {

[[nodiscard]] std::string_view product_version();
/// Of the runtime ABI that this host provides: "1.0".
[[nodiscard]] std::string abi_version();

}  // namespace kortex::host
