/// Questions about absolute paths.
#pragma once

#include <string>

namespace kortex::process {

/// `path` is `directory` or lies in it. Both absolute and lexically normal.
[[nodiscard]] bool lies_in(const std::string& path, const std::string& directory);

/// Symbolic links resolved as far as the path exists; no slash at the end.
[[nodiscard]] std::string resolved(const std::string& path);

/// No ".", "..", double slash or slash at the end.
[[nodiscard]] std::string normal(const std::string& path);

[[nodiscard]] bool exists(const std::string& path);
[[nodiscard]] bool is_directory(const std::string& path);

/// At most `limit` bytes of a file; "" when it cannot be read.
[[nodiscard]] std::string contents(const std::string& path, std::size_t limit = std::size_t{64} << 10);

}  // namespace kortex::process
