/// The manual page, made of the table of commands: roff, as man(7) has it.
#pragma once

#include <string>

namespace kortex::host {

[[nodiscard]] std::string manual_page();

}  // namespace kortex::host
