#include "system/error.hpp"

#include <cctype>
#include <system_error>

namespace kortex::host {

std::string reason_of(int errno_value) {
  std::string text = std::generic_category().message(errno_value);
  // "I/O error" and the like keep their capitals.
  if (text.size() > 1 && std::islower(static_cast<unsigned char>(text[1])) != 0)
    text[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(text[0])));
  return text;
}

}  // namespace kortex::host
