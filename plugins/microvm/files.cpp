#include "files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>

namespace kortex::microvm {

void fail_system(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

std::string quoted(const std::string& text) { return "'" + text + "'"; }

std::string contents_at(const std::string& path, std::int64_t offset, std::size_t size) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0 || !S_ISREG(status.st_mode)) return {};
  std::string text;
  std::array<char, 65536> part{};
  while (text.size() < size) {
    const ssize_t got = ::pread(file.get(), part.data(), std::min(part.size(), size - text.size()), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    text.append(part.data(), static_cast<std::size_t>(got));
    offset += got;
  }
  return text;
}

std::string contents(const std::string& path, std::size_t limit) { return contents_at(path, 0, limit); }

void write_all(int fd, const std::string& text, const std::string& path) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t size = ::write(fd, text.data() + at, text.size() - at);
    if (size < 0 && errno != EINTR) fail_system("cannot write '" + path + "'");
    if (size > 0) at += static_cast<std::size_t>(size);
  }
}

void replace_file(const std::string& path, const std::string& text, unsigned mode) {
  const std::string fresh = path + ".new";
  {
    const Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode));
    if (!file) fail_system("cannot write '" + fresh + "'");
    write_all(file.get(), text, fresh);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) fail_system("cannot write '" + path + "'");
}

void make_directory(const std::string& path) {
  if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) fail_system("cannot make '" + path + "'");
}

bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

bool is_directory(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::int64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? status.st_size : -1;
}

std::string normal(const std::string& path) {
  std::string text = std::filesystem::path(path).lexically_normal().string();
  while (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

std::string resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  return normal(error ? path : real.string());
}

bool lies_in(const std::string& path, const std::string& directory) {
  if (directory == "/" || path == directory) return true;
  return path.size() > directory.size() && path.compare(0, directory.size(), directory) == 0 && path[directory.size()] == '/';
}

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string boot_id() {
  const Fd file(::open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC));
  char text[64];
  const ssize_t size = file ? ::read(file.get(), text, sizeof text) : 0;
  return std::string(text, size > 0 ? static_cast<std::size_t>(size) : 0);
}

Fd lifted(Fd fd, const std::string& what) {
  if (!fd) fail_system("cannot open '" + what + "'");
  Fd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 200));
  if (!high) fail_system("cannot open '" + what + "'");
  return high;
}

Digest& Digest::add(const std::string& bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data() + at, std::min(sizeof word, bytes.size() - at));
    m_first = (m_first ^ word) * 0x9fb21c651e98df25u;
    m_first ^= m_first >> 32;
    m_second = (m_second + word) * 0x9e3779b97f4a7c15u;
    m_second ^= m_second >> 29;
  }
  m_first ^= bytes.size();
  return *this;
}

std::string Digest::text() const {
  char out[33];
  std::snprintf(out, sizeof out, "%016llx%016llx", static_cast<unsigned long long>(m_first), static_cast<unsigned long long>(m_second));
  return out;
}

}  // namespace kortex::microvm
