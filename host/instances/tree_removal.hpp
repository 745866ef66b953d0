/// Deleting a directory that a runtime wrote into: unreadable directories, symbolic links, deep trees.
#pragma once

#include <filesystem>
#include <string>

namespace kortex::host {

/// Deletes `directory` and all in it, following no symbolic link; its entry `last` goes last, so that whoever looks meanwhile
/// still sees it. Deletes as much as it can, then throws std::system_error with the first reason.
void remove_tree(const std::filesystem::path& directory, const std::string& last);

}  // namespace kortex::host
