/// An flock on a file, held until destruction. Inherited by forked children on purpose: a lock stays
/// held as long as anyone works for the command that took it, so that a killed command's child, still
/// inside a runtime, is waited for.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include <kortex/fd.hpp>

namespace kortex::host {

class FileLock {
 public:
  /// Takes the lock if nobody has it. The file must exist. nullopt: somebody else has it.
  /// Throws std::system_error (ENOENT: the file, and so what it guards, is gone).
  [[nodiscard]] static std::optional<FileLock> try_acquire(const std::filesystem::path& file);

  /// Waits for it, at most `timeout_ms` (< 0: for ever); calls `waiting` once after half a second.
  /// nullopt: timed out. Re-checks after the wait that `file` is still the locked one (ENOENT if not).
  [[nodiscard]] static std::optional<FileLock> acquire(const std::filesystem::path& file, int timeout_ms,
                                                       const std::function<void()>& waiting);

  /// Writes into the locked file what its owner is doing, for those who wait. Tries its best, and waits for no disk.
  void note(std::string_view doing) const;
  /// What the owner, or the last one, noted; "" when that is nothing.
  [[nodiscard]] static std::string note_in(const std::filesystem::path& file);

  /// What holds the lock as long as anybody has it open: to give it to a process that was forked before.
  [[nodiscard]] int descriptor() const { return m_fd.get(); }

  /// Whether somebody holds the lock now. Needs no write access. A missing file is not locked.
  [[nodiscard]] static bool is_held(const std::filesystem::path& file);

 private:
  explicit FileLock(Fd fd) : m_fd(std::move(fd)) {}
  Fd m_fd;
};

}  // namespace kortex::host
