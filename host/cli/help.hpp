/// Help, made of the table of commands.
#pragma once

#include <string>

#include "cli/commands.hpp"

namespace kortex::host {

[[nodiscard]] std::string overview();
[[nodiscard]] std::string help_of(const Noun&);
[[nodiscard]] std::string help_of(const Command&);

}  // namespace kortex::host
