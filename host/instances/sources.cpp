#include "instances/sources.hpp"

#include <sys/stat.h>

#include <cerrno>

namespace kortex::host {

bool are_gone(std::string_view path) {
  if (path.empty()) return false;
  struct stat status {};
  if (::stat(std::string(path).c_str(), &status) != 0) return errno == ENOENT || errno == ENOTDIR;
  return !S_ISDIR(status.st_mode);
}

std::string gone_sources(std::string_view workspace, std::string_view path) {
  return "workspace '" + std::string(workspace) + "': its sources '" + std::string(path) + "' are gone";
}

}  // namespace kortex::host
