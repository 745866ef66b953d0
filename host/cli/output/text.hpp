/// Text for people: nothing that came from elsewhere reaches a terminal raw, and columns are as wide as a
/// terminal shows them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kortex::host {

/// Valid UTF-8: each broken byte becomes U+FFFD.
[[nodiscard]] std::string valid_utf8(std::string_view text);

/// valid_utf8, and control characters (C0, DEL, C1, line and direction separators) become '?'.
[[nodiscard]] std::string printable(std::string_view text);

/// The text in single quotes, printable.
[[nodiscard]] std::string in_quotes(std::string_view text);

/// As a POSIX shell reads it back as one word; quotes only where needed.
[[nodiscard]] std::string shell_word(std::string_view text);

/// Columns a terminal uses for printable UTF-8.
[[nodiscard]] std::size_t display_width(std::string_view text);

/// Paragraphs (separated by an empty line) broken into lines of at most `width` columns, each indented.
/// A paragraph whose lines start with a space is kept as it is.
[[nodiscard]] std::string wrapped(std::string_view text, std::size_t indent, std::size_t width = 80);

/// "3 minutes ago"; "now" within a second, "never" for zero.
[[nodiscard]] std::string time_ago(std::int64_t then_ms, std::int64_t now_ms);

/// "1.5s", "2m 3s".
[[nodiscard]] std::string elapsed_text(std::int64_t ms);

/// "512 MiB", "1.5 GiB", "100 B".
[[nodiscard]] std::string size_text(std::int64_t bytes);

/// Without their ends; no empty last one.
[[nodiscard]] std::vector<std::string> lines_of(std::string_view text);

}  // namespace kortex::host
