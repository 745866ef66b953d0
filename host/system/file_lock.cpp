#include "system/file_lock.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <limits>
#include <system_error>

#include "system/pidfd.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

constexpr int waiting_after_ms = 500;
constexpr int max_probe_retries = 1000;

[[noreturn]] void fail(int error, const char* what, const fs::path& file) {
  throw std::system_error(error, std::generic_category(), std::string(what) + " '" + file.string() + "'");
}

Fd open_lock(const fs::path& file) {
  // Read-only is enough for flock on a local file system and works on a file that others made; NFS
  // wants write access for an exclusive lock.
  Fd fd(::open(file.c_str(), O_RDWR | O_CLOEXEC | O_NOCTTY));
  if (!fd && (errno == EACCES || errno == EROFS)) fd.reset(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) fail(errno, "cannot lock", file);
  return fd;
}

/// flock without blocking; false: somebody else has it.
bool try_flock(int fd, int operation, const fs::path& file) {
  for (;;) {
    if (::flock(fd, operation | LOCK_NB) == 0) return true;
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) fail(errno, "cannot lock", file);
  }
}

/// is_held() takes the lock shared for an instant. That must not look like an owner, so it is told apart by
/// taking it shared ourselves: with an owner that fails.
bool try_exclusive(int fd, const fs::path& file) {
  for (int i = 0; i < max_probe_retries; ++i) {
    if (try_flock(fd, LOCK_EX, file)) return true;
    if (!try_flock(fd, LOCK_SH, file)) return false;
    ::flock(fd, LOCK_UN);
    ::sched_yield();
  }
  return false;
}

/// The owner may have removed the file (and what it guards) while we waited: a lock on a file that nobody
/// can open any more excludes nobody.
void expect_same_file(int fd, const fs::path& file) {
  struct stat ours {}, named {};
  if (::fstat(fd, &ours) != 0 || ::stat(file.c_str(), &named) != 0) fail(errno, "cannot lock", file);
  if (ours.st_ino != named.st_ino || ours.st_dev != named.st_dev) fail(ENOENT, "cannot lock", file);
}

/// A child that waits in flock(). The lock belongs to the open file, which we share: once the child has it, we
/// have it. So the wait can end by a timeout without timers, signals or sleeping.
class Waiter {
 public:
  Waiter(int fd, const fs::path& file) {
    const pid_t parent = ::getpid();
    m_pid = ::fork();
    if (m_pid < 0) fail(errno, "cannot wait for", file);
    if (m_pid == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      if (::getppid() != parent) ::_exit(EINTR);
      // Nobody is to wait for the end of a pipe that only this process still holds.
      if (fd > 0) ::close_range(0, static_cast<unsigned>(fd) - 1, 0);
      ::close_range(static_cast<unsigned>(fd) + 1, ~0u, 0);
      int rc = 0;
      do rc = ::flock(fd, LOCK_EX);
      while (rc != 0 && errno == EINTR);
      ::_exit(rc == 0 ? 0 : errno);
    }
    m_pidfd.reset(::pidfd_open(m_pid, 0));
    if (!m_pidfd) {
      const int error = errno;
      end();
      fail(error, "cannot wait for", file);
    }
  }
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter() { end(); }

  /// False: timed out. `timeout_ms` < 0: for ever.
  bool wait(int timeout_ms) {
    const auto end = Clock::now() + std::chrono::milliseconds(timeout_ms);
    for (;;) {
      int rest = -1;
      if (timeout_ms >= 0)
        rest = static_cast<int>(std::max<std::int64_t>(
            0, std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count()));
      pollfd poll{m_pidfd.get(), POLLIN, 0};
      const int n = ::poll(&poll, 1, rest);
      if (n > 0) return true;
      if (n == 0) return false;
      if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
    }
  }
  /// 0, or why flock failed. After wait().
  int result() {
    int status = 0;
    while (::waitpid(m_pid, &status, 0) < 0 && errno == EINTR) {}
    m_pid = -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
  }

 private:
  void end() {
    if (m_pid < 0) return;
    ::kill(m_pid, SIGKILL);
    while (::waitpid(m_pid, nullptr, 0) < 0 && errno == EINTR) {}
    m_pid = -1;
  }
  pid_t m_pid = -1;
  Fd m_pidfd;
};

}  // namespace

std::optional<FileLock> FileLock::try_acquire(const fs::path& file) {
  Fd fd = open_lock(file);
  if (!try_exclusive(fd.get(), file)) return std::nullopt;
  expect_same_file(fd.get(), file);
  return FileLock(std::move(fd));
}

std::optional<FileLock> FileLock::acquire(const fs::path& file, int timeout_ms, const std::function<void()>& waiting) {
  Fd fd = open_lock(file);
  if (!try_exclusive(fd.get(), file)) {
    if (timeout_ms == 0) return std::nullopt;
    Waiter waiter(fd.get(), file);
    const int first = timeout_ms < 0 ? waiting_after_ms : std::min(timeout_ms, waiting_after_ms);
    if (!waiter.wait(first)) {
      if (timeout_ms >= 0 && timeout_ms <= waiting_after_ms) return std::nullopt;
      if (waiting) waiting();
      if (!waiter.wait(timeout_ms < 0 ? -1 : timeout_ms - first)) return std::nullopt;
    }
    if (const int error = waiter.result(); error != 0) fail(error, "cannot lock", file);
  }
  expect_same_file(fd.get(), file);
  return FileLock(std::move(fd));
}

void FileLock::note(std::string_view doing) const {
  if (::ftruncate(m_fd.get(), 0) != 0 || doing.empty()) return;
  [[maybe_unused]] const ssize_t n = ::pwrite(m_fd.get(), doing.data(), doing.size(), 0);
}

std::string FileLock::note_in(const fs::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  char text[32];
  const ssize_t n = fd ? ::pread(fd.get(), text, sizeof text, 0) : -1;
  return n > 0 ? std::string(text, static_cast<std::size_t>(n)) : std::string();
}

bool FileLock::is_held(const fs::path& file) {
  const Fd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) {
    if (errno == ENOENT || errno == ENOTDIR) return false;
    fail(errno, "cannot open", file);
  }
  return !try_flock(fd.get(), LOCK_SH, file);
}

}  // namespace kortex::host
