/// Text that came from a plugin or its backend, made fit to be stored and shown.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace kortex::host {

/// One line: invalid UTF-8 and control characters (C0, DEL, C1) become '?', at most `limit` bytes, cut
/// between characters.
[[nodiscard]] std::string clean_line(std::string_view text, std::size_t limit);

/// The same, but keeps line ends and tabs, and keeps the end of what is too long.
[[nodiscard]] std::string clean_text(std::string_view text, std::size_t limit);

/// A JSON object of at most `limit` bytes, nested at most 32 deep.
[[nodiscard]] bool is_json_object(std::string_view text, std::size_t limit);

}  // namespace kortex::host
