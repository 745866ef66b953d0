#include "paths.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>

#include <kortex/fd.hpp>

namespace kortex::process {

namespace fs = std::filesystem;

bool lies_in(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.compare(0, directory.size(), directory) == 0 &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

std::string normal(const std::string& path) {
  std::string text = fs::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::string resolved(const std::string& path) {
  // A quarter of the system calls of weakly_canonical(), which is for what does not exist.
  char whole[PATH_MAX];
  if (::realpath(path.c_str(), whole) != nullptr) return whole;
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  return normal(error ? path : real.string());
}

bool exists(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0;
}

bool is_directory(const std::string& path) {
  struct stat status;
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string contents(const std::string& path, std::size_t limit) {
  // O_NONBLOCK: some of these files lie where an agent can put a FIFO.
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status;
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  std::string text;
  char buffer[4096];
  while (text.size() < limit) {
    const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) break;
    text.append(buffer, static_cast<std::size_t>(size));
  }
  if (text.size() > limit) text.resize(limit);
  return text;
}

}  // namespace kortex::process
