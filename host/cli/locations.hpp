/// Where things are: the store, a runtime's directories, and what is installed beside the binary.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "cli/environment.hpp"

namespace kortex::host {

/// --storage, KORTEX_CLI_STORAGE, or $HOME/.kortex-cli; absolute. Throws Error when there is none of them.
[[nodiscard]] std::filesystem::path storage_directory(const Environment&, const std::optional<std::string>& flag);

/// $XDG_CACHE_HOME/kortex-cli/runtimes/<runtime>, or below ~/.cache; empty when neither is known.
[[nodiscard]] std::string cache_directory(const Environment&, const std::string& runtime);

/// $XDG_RUNTIME_DIR/kortex-cli/<runtime>, or /tmp/kortex-cli-<uid>/<runtime>; its parent is made.
/// Throws Error(refused) when somebody else could write to it.
[[nodiscard]] std::string volatile_directory(const Environment&, const std::string& runtime);

/// Where the user's own runtimes are: ~/.local/lib/kortex/runtimes. Throws Error when HOME is not set.
[[nodiscard]] std::filesystem::path user_runtime_directory(const Environment&);

/// The installed session holder, or empty.
[[nodiscard]] std::string session_program(const Environment&);

/// Directories with agents, the user's first. `store`: the user's own; may be empty.
[[nodiscard]] std::vector<std::filesystem::path> agent_directories(const Environment&,
                                                                   const std::filesystem::path& store_agents);

/// $HOME, or empty.
[[nodiscard]] std::string home_directory(const Environment&);

/// Where runtimes are pinned: the administrator's directory first.
[[nodiscard]] std::vector<std::filesystem::path> pin_directories(const Environment&);

}  // namespace kortex::host
