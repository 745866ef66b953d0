#include "modules.hpp"

#include <algorithm>
#include <sstream>

#include <kortex/error.hpp>

#include "files.hpp"

namespace kortex::microvm {

std::string module_name(const std::string& path) {
  std::string name = path.substr(path.rfind('/') + 1);
  name.resize(std::min(name.size(), name.find(".ko")));
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

ModuleIndex::ModuleIndex(std::string directory) : m_directory(std::move(directory)) {
  std::istringstream dependencies(contents(m_directory + "/modules.dep")), built_in(contents(m_directory + "/modules.builtin"));
  std::string line;
  while (std::getline(dependencies, line))
    if (const std::size_t colon = line.find(':'); colon != std::string::npos) m_dependencies.emplace(module_name(line.substr(0, colon)), line);
  while (std::getline(built_in, line)) m_built_in.insert(module_name(line));
  if (m_dependencies.empty()) throw Error(KORTEX_E_INVALID, "cannot read the kernel's modules: " + quoted(m_directory + "/modules.dep"));
}

std::vector<std::string> ModuleIndex::files_of(const std::string& name) const {
  const auto found = m_dependencies.find(name);
  if (found == m_dependencies.end()) {
    if (m_built_in.count(name) != 0) return {};
    throw Error(KORTEX_E_UNSUPPORTED, "cannot use the kernel with modules in " + quoted(m_directory) + ": it has no '" + name + "'", "--runtime-option kernel=PATH");
  }
  const std::string& line = found->second;
  const std::size_t colon = line.find(':');
  std::vector<std::string> files{line.substr(0, colon)};
  std::istringstream others(line.substr(colon + 1));
  for (std::string other; others >> other;) files.push_back(other);
  // depmod names what a module needs, and what that needs behind it.
  std::reverse(files.begin(), files.end());
  return files;
}

bool ModuleIndex::has(const std::string& name) const {
  try {
    (void)files_of(name);
    return true;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace kortex::microvm
