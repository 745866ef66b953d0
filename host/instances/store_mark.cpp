#include "instances/store_mark.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>
#include <system_error>

#include <kortex/fd.hpp>

#include "instances/names.hpp"
#include "system/files.hpp"

namespace kortex::host {

namespace {

constexpr std::size_t mark_size = 32;

std::filesystem::path marks_of(const std::filesystem::path& root) { return root / "marks"; }

[[noreturn]] void fail(const std::filesystem::path& file) { throw std::system_error(errno, std::generic_category(), file.string()); }

}  // namespace

std::string read_store_mark(const std::filesystem::path& root, const std::string& runtime) {
  const std::filesystem::path file = marks_of(root) / runtime;
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!fd) {
    if (errno == ENOENT || errno == ELOOP) return {};
    fail(file);
  }
  struct stat status {};
  char bytes[128];
  const ssize_t size = ::read(fd.get(), bytes, sizeof bytes);
  if (::fstat(fd.get(), &status) != 0 || size < 0) fail(file);
  const std::string_view text(bytes, static_cast<std::size_t>(size));
  const std::string_view mark = text.substr(0, mark_size);
  if (mark.size() != mark_size || !is_hexadecimal(mark)) return {};
  return text.substr(mark_size) == " " + std::to_string(status.st_ino) + "\n" ? std::string(mark) : std::string();
}

std::string make_store_mark(const std::filesystem::path& root, const std::string& runtime, const std::filesystem::path& scratch) {
  make_private_directories(marks_of(root));
  sync_directory(root);
  const std::filesystem::path file = marks_of(root) / runtime, temporary = scratch / "mark";
  const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!fd) fail(file);
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) fail(file);
  const std::string text = random_id().substr(0, mark_size) + " " + std::to_string(status.st_ino) + "\n";
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) || ::fsync(fd.get()) != 0) fail(file);
  // Of several that come at once the first one's counts. What is there already and no mark of ours is a copy's.
  if (::link(temporary.c_str(), file.c_str()) != 0 && read_store_mark(root, runtime).empty() && ::rename(temporary.c_str(), file.c_str()) != 0) fail(file);
  sync_directory(marks_of(root));
  std::string mark = read_store_mark(root, runtime);
  if (mark.empty()) throw std::system_error(std::make_error_code(std::errc::io_error), file.string());
  return mark;
}

}  // namespace kortex::host
