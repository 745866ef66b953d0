/// The one runtime in a .deb or a .tar.gz. Nothing else is taken out, so that it does not matter what an archive says
/// about paths, links, owners and devices, and no more bytes than a runtime can have.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace kortex::host {

enum class Packing { none, tar, deb };

/// By its first bytes, else by its name.
[[nodiscard]] Packing packing_of(const std::filesystem::path& file);

/// What is larger is no runtime. A package may have four times as much in it.
inline constexpr std::int64_t max_runtime_size = 256 * 1024 * 1024;

/// Writes the runtime in `archive` to a new file in the directory `into`, which must be nobody else's, and returns
/// that. Throws Error, with the reason alone as its message: what could not be done with which file, the caller knows.
[[nodiscard]] std::filesystem::path take_runtime_out(const std::filesystem::path& archive, Packing, const std::filesystem::path& into,
                                                     std::int64_t max_size = max_runtime_size);

}  // namespace kortex::host
