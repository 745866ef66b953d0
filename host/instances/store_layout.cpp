#include "instances/store_layout.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <system_error>

#include "instances/names.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

fs::path names_of(const fs::path& root) { return root / "names"; }
fs::path workspaces_of(const fs::path& root) { return root / "workspaces"; }
fs::path tmp_of(const fs::path& root) { return root / "tmp"; }

void for_each_entry(const fs::path& directory, const std::function<void(std::string_view)>& function) {
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) {
    if (errno == ENOENT) return;
    throw std::system_error(errno, std::generic_category(), directory.string());
  }
  while (const dirent* entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") function(name);
  }
}

std::vector<std::string> entries_of(const fs::path& directory) {
  std::vector<std::string> names;
  for_each_entry(directory, [&](std::string_view name) { names.emplace_back(name); });
  return names;
}

Fd open_workspaces(const fs::path& root) {
  return Fd(::open(workspaces_of(root).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

std::string read_name(const fs::path& root, const std::string& name) {
  constexpr std::string_view before = "../workspaces/";
  char target[128];
  const ssize_t size = ::readlink((names_of(root) / name).c_str(), target, sizeof target);
  if (size <= 0) return {};
  std::string_view text(target, static_cast<std::size_t>(size));
  if (text.substr(0, before.size()) != before) return {};
  text.remove_prefix(before.size());
  return is_workspace_id(text) ? std::string(text) : std::string();
}

std::string name_of(const fs::path& root, const std::string& id) {
  for (const auto& name : entries_of(names_of(root)))
    if (read_name(root, name) == id) return name;
  return {};
}

std::string short_id(std::string_view id) { return std::string(id.substr(0, 12)); }

}  // namespace kortex::host
