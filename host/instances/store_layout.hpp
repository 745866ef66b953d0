/// Where things are in a store (see store.hpp), and the questions that more than one of its parts asks.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <kortex/fd.hpp>

namespace kortex::host {

inline constexpr std::string_view record_file = "workspace.json";

[[nodiscard]] std::filesystem::path names_of(const std::filesystem::path& root);
[[nodiscard]] std::filesystem::path workspaces_of(const std::filesystem::path& root);
[[nodiscard]] std::filesystem::path tmp_of(const std::filesystem::path& root);

/// The entries of a directory, without . and .., unordered; a missing one has none. Throw std::system_error.
void for_each_entry(const std::filesystem::path& directory, const std::function<void(std::string_view)>&);
[[nodiscard]] std::vector<std::string> entries_of(const std::filesystem::path& directory);

[[nodiscard]] Fd open_workspaces(const std::filesystem::path& root);

/// The id that a name stands for; empty: no such name.
[[nodiscard]] std::string read_name(const std::filesystem::path& root, const std::string& name);
/// The other way round, which takes reading them all; empty: it has none.
[[nodiscard]] std::string name_of(const std::filesystem::path& root, const std::string& id);

[[nodiscard]] std::string short_id(std::string_view id);

}  // namespace kortex::host
