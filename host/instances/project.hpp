/// Which project a folder belongs to: the git remote `origin`, read without running git, or the folder's name.
#pragma once

#include <filesystem>
#include <string>

namespace kortex::host {

[[nodiscard]] std::string project_of(const std::filesystem::path& sources);

/// The URL without user names and passwords: https://user:token@host/x → https://host/x. ssh keeps the user, not a password.
[[nodiscard]] std::string without_credentials(const std::string& url);

}  // namespace kortex::host
