#include "system/files.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include <kortex/fd.hpp>

#include "system/error.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(int error, const char* what, const fs::path& file) {
  throw std::system_error(error, std::generic_category(), std::string(what) + " '" + file.string() + "'");
}

fs::path directory_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}

/// A file that is removed again unless it has reached its place. Its name is always the same, so that what a killed
/// command left is used up by the next.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& target) : m_path((directory_of(target) / ("." + target.filename().string() + ".new")).string()) {
    // Not opened again: whoever left it may have made it unwritable, or a link.
    if (::unlink(m_path.c_str()) != 0 && errno != ENOENT) fail(errno, "cannot create a file beside", target);
    m_fd.reset(::open(m_path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!m_fd) fail(errno, "cannot create a file beside", target);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!m_path.empty()) ::unlink(m_path.c_str());
  }
  void write(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(m_fd.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail(errno, "cannot write", m_path);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  void sync() {
    if (::fsync(m_fd.get()) != 0) fail(errno, "cannot write", m_path);
  }
  void move_to(const fs::path& target) {
    if (::rename(m_path.c_str(), target.c_str()) != 0) fail(errno, "cannot replace", target);
    m_path.clear();
  }

 private:
  std::string m_path;
  Fd m_fd;
};

}  // namespace

std::string read_file(const fs::path& file, std::size_t limit) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) fail(errno, "cannot open", file);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail(errno, "cannot read", file);
  if (S_ISDIR(status.st_mode)) fail(EISDIR, "cannot read", file);
  if (!S_ISREG(status.st_mode)) fail(EINVAL, "cannot read", file);
  if (static_cast<std::size_t>(status.st_size) > limit) fail(EFBIG, "cannot read", file);
  // One byte more than expected, so that a file that grows meanwhile (or one of /proc, of size 0) is seen.
  std::string bytes(static_cast<std::size_t>(status.st_size) + 1, '\0');
  std::size_t size = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), bytes.data() + size, bytes.size() - size);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(errno, "cannot read", file);
    if (n == 0) break;
    size += static_cast<std::size_t>(n);
    if (size > limit) fail(EFBIG, "cannot read", file);
    if (size == bytes.size()) bytes.resize(size * 2);
  }
  bytes.resize(size);
  return bytes;
}

std::string unreadable_because(const std::error_code& code) {
  // Of a FIFO or a device read_file() says EINVAL, of a socket open() says ENXIO.
  if (code == std::errc::invalid_argument || code == std::errc::is_a_directory || code == std::errc::no_such_device_or_address)
    return "not a regular file";
  return reason_of(code.value());
}

void replace_file(const fs::path& file, std::string_view bytes, Durability durability) {
  TemporaryFile temporary(file);
  temporary.write(bytes);
  if (durability != Durability::none) temporary.sync();
  temporary.move_to(file);
  if (durability == Durability::now) sync_directory(directory_of(file));
}

void sync_file(const fs::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) fail(errno, "cannot open", file);
  if (::fsync(fd.get()) != 0) fail(errno, "cannot write", file);
}

void sync_directory(const fs::path& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) fail(errno, "cannot open", directory);
  // Some network and FUSE file systems cannot sync a directory; they say so, and nothing can be done.
  if (::fsync(fd.get()) != 0 && errno != EINVAL && errno != ENOSYS) fail(errno, "cannot write", directory);
}

void make_private_directories(const fs::path& directory) {
  if (directory.empty()) return;
  // Once in its life; else all that is made durable in it could be lost with it. The parent may be one that only others may read.
  const auto make = [&] {
    if (::mkdir(directory.c_str(), 0700) != 0) return false;
    if (const Fd parent(::open(directory_of(directory).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)); parent) (void)::fsync(parent.get());
    return true;
  };
  if (make()) return;
  if (errno == ENOENT) {
    const fs::path parent = directory.parent_path();
    if (parent.empty() || parent == directory) fail(ENOENT, "cannot create", directory);
    make_private_directories(parent);
    if (make()) return;
  }
  const int error = errno;
  // mkdir says EACCES or EROFS before EEXIST on some file systems: what counts is whether it is there.
  struct stat status {};
  if (::stat(directory.c_str(), &status) != 0) fail(error == EEXIST ? errno : error, "cannot create", directory);
  if (!S_ISDIR(status.st_mode)) fail(ENOTDIR, "cannot create", directory);
}

}  // namespace kortex::host
