#include "runtimes/registry.hpp"

#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <utility>

#include "runtimes/elf_note.hpp"
#include "runtimes/plugin_file.hpp"
#include "system/error.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

const fs::path runtimes_directory = "kortex/runtimes";

class SearchPath {
 public:
  /// Of one directory that has several names, the first one counts.
  void add(const fs::path& directory, const std::string& origin) {
    const fs::path normal = directory.lexically_normal();
    if (!m_names.insert(normal.has_filename() ? normal : normal.parent_path()).second) return;
    struct stat status {};
    if (::stat(directory.c_str(), &status) == 0 && !m_inodes.emplace(status.st_dev, status.st_ino).second) return;
    m_directories.push_back({normal.has_filename() ? normal : normal.parent_path(), origin});
  }
  void add_given(const std::string& entry, const std::string& origin) {
    if (entry.empty() || entry.front() != '/')
      throw Error(ErrorKind::usage, "invalid entry '" + entry + "' in " + origin + ": not an absolute path");
    add(entry, origin);
  }
  std::vector<SearchDirectory> take() { return std::move(m_directories); }

 private:
  std::vector<SearchDirectory> m_directories;
  std::set<fs::path> m_names;
  std::set<std::pair<dev_t, ino_t>> m_inodes;
};

/// Runtime names that have a file in the directory. A directory that cannot be read has none.
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory.c_str()), ::closedir);
  if (!stream) return names;
  while (const dirent* entry = ::readdir(stream.get()))
    if (std::string name = name_of_plugin_file(entry->d_name); !name.empty()) names.push_back(std::move(name));
  return names;
}

fs::path file_in(const fs::path& directory, const std::string& name) {
  return directory / (std::string(plugin_prefix) + name + std::string(plugin_suffix));
}

bool is_there(const fs::path& file) {
  struct stat status {};
  return ::lstat(file.c_str(), &status) == 0;
}

[[noreturn]] void throw_not_found(const std::string& name, const std::vector<std::string>& installed) {
  const std::vector<std::string> close = nearest(name, installed);
  std::string hint;
  if (!close.empty()) {
    hint = "did you mean ";
    for (std::size_t i = 0; i < close.size(); ++i) hint += (i == 0 ? "'" : " or '") + close[i] + "'";
    hint += "? 'kortex-cli runtime list' shows all";
  } else if (!installed.empty()) {
    hint = "installed: ";
    for (std::size_t i = 0; i < installed.size(); ++i) hint += (i == 0 ? "" : ", ") + installed[i];
    hint += "; 'kortex-cli runtime list' tells more";
  } else {
    hint = "no runtime is installed; 'kortex-cli runtime install FILE' installs one";
  }
  throw Error(ErrorKind::no_runtime, "no runtime '" + name + "'", hint);
}

}  // namespace

std::vector<SearchDirectory> search_path(const SearchPathInputs& inputs) {
  SearchPath path;
  for (const std::string& flag : inputs.flags) path.add_given(flag, "--runtime-path");
  // Set but empty is how shells unset a variable for one command.
  if (inputs.variable && !inputs.variable->empty()) {
    std::size_t start = 0;
    for (std::size_t end = 0; end != std::string::npos; start = end + 1) {
      end = inputs.variable->find(':', start);
      path.add_given(inputs.variable->substr(start, end == std::string::npos ? end : end - start),
                     "KORTEX_CLI_RUNTIME_PATH");
    }
  }
  if (inputs.home.is_absolute()) path.add(inputs.home / ".local/lib" / runtimes_directory, "user");
  const std::string triplet = KORTEX_TRIPLET;
  if (inputs.binary.is_absolute()) {
    const fs::path lib = inputs.binary.parent_path().parent_path() / "lib";
    // Installed in the system, what is beside it is the system's, whoever's package brought it.
    const char* origin = lib == "/usr/lib" || lib == "/usr/local/lib" ? "system" : "bundled";
    path.add(lib / runtimes_directory, origin);
    if (!triplet.empty()) path.add(lib / triplet / runtimes_directory, origin);
  }
  path.add("/usr/local/lib" / runtimes_directory, "system");
  if (!triplet.empty()) path.add("/usr/lib" / fs::path(triplet) / runtimes_directory, "system");
  path.add("/usr/lib" / runtimes_directory, "system");
  return path.take();
}

PluginFile Registry::look_at(const fs::path& file, const std::string& origin) const {
  PluginFile found = examine(file, origin);
  if (found.loadable()) found.refusal = m_pins.refusal(found.name, found.path);
  return found;
}

PluginFile Registry::find(const std::string& name) const {
  std::vector<PluginFile> refused;
  if (is_runtime_name(name)) {
    for (const SearchDirectory& directory : m_path) {
      const fs::path file = file_in(directory.path, name);
      if (!is_there(file)) continue;
      PluginFile found = look_at(file, directory.origin);
      if (found.loadable()) return found;
      refused.push_back(std::move(found));
    }
  }
  if (refused.empty()) {
    std::set<std::string> installed;
    for (const SearchDirectory& directory : m_path)
      for (std::string& other : names_in(directory.path)) installed.insert(std::move(other));
    throw_not_found(name, {installed.begin(), installed.end()});
  }
  const PluginFile& first = refused.front();
  std::string others;
  for (std::size_t i = 1; i < refused.size(); ++i)
    others += (i == 1 ? "" : "\n") + refused[i].path.string() + ": " + refused[i].refusal;
  throw Error(ErrorKind::no_runtime, "cannot use runtime '" + name + "' from '" + first.path.string() + "': " + first.refusal,
              first.hint, others);
}

std::vector<PluginFile> Registry::scan() const {
  std::map<std::string, std::vector<PluginFile>> by_name;
  for (const SearchDirectory& directory : m_path)
    for (const std::string& name : names_in(directory.path))
      by_name[name].push_back(look_at(file_in(directory.path, name), directory.origin));
  std::vector<PluginFile> all;
  for (auto& [name, files] : by_name) {
    bool usable_seen = false;
    for (PluginFile& file : files) {
      file.shadowed = usable_seen;
      usable_seen = usable_seen || file.loadable();
      all.push_back(std::move(file));
    }
  }
  return all;
}

}  // namespace kortex::host
