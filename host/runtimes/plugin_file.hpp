/// Whether a file may be loaded as a runtime, decided without running any of its code: who can write it,
/// what it is, which ABI it wants. See examine() in registry.hpp.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace kortex::host {

inline constexpr std::string_view plugin_prefix = "libkortex-runtime-";
#if defined(__APPLE__)
inline constexpr std::string_view plugin_suffix = ".dylib";
#else
inline constexpr std::string_view plugin_suffix = ".so";
#endif

/// The runtime's name in "libkortex-runtime-<name>.so"; empty for any other file name.
[[nodiscard]] std::string name_of_plugin_file(const std::string& file_name);

/// A word for a shell: quoted where needed.
[[nodiscard]] std::string shell_word(const std::string& text);

}  // namespace kortex::host
