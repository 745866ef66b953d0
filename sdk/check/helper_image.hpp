/// The static program of inside/, as it is put into every instance.
#pragma once

#include <string_view>

namespace kortex::check {

[[nodiscard]] std::string_view helper_image();

}  // namespace kortex::check
