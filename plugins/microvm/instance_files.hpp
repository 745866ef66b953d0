/// An instance's directory: what is in it, and what it says about the instance.
///
///     instance          what create() made: `created <ms>`
///     boot              the boot id at the last start        forwards     `<target> <port> <address>` of the last start
///     machine.lock      the truth of whether anything of the instance lives
///     qemu.pid          QEMU keeps a POSIX lock on it: F_GETLK tells its pid, which is never another's
///     session.status    the session holder's story, written from within the guest; the same for
///     session.output.0, session.output.1    what the agent wrote
///     ports             a byte of it is locked per session in use
///     disk.img          the writable file system             console.log  of the kernel; other *.log: of the programs
///     *.sock            QEMU's control socket, and one per session
///
/// Truth: an open-file-description lock on machine.lock. start() takes it before anything runs, and whatever it starts
/// inherits it, so that there is no moment in which an instance lives unseen. It can be asked for without being taken.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kortex/runtime.hpp>
#include <kortex/session.hpp>

namespace kortex::microvm {

class InstanceFiles {
 public:
  explicit InstanceFiles(const Ref& ref) : m_directory(ref.state_dir()) {}
  explicit InstanceFiles(std::string directory) : m_directory(std::move(directory)) {}

  [[nodiscard]] const std::string& directory() const { return m_directory; }
  [[nodiscard]] std::string path(const std::string& name) const { return m_directory + "/" + name; }

  /// Unix time in ms; nullopt: create() has not been here, or not to its end.
  [[nodiscard]] std::optional<std::int64_t> created() const;
  void write_created() const;

  [[nodiscard]] session::StatusFile story() const;
  /// What the agent wrote, up to `up_to`; `tail` lines from its end, -1: all.
  void read_output(std::int64_t tail, const session::LogSink&, const session::LogEnd& up_to = {}) const;
  /// Something of the instance lives.
  [[nodiscard]] bool alive() const;
  [[nodiscard]] std::int64_t qemu_pid() const;  ///< 0: it does not live
  /// Waits until alive() is false; false after `limit`. Throws Cancelled.
  [[nodiscard]] bool wait_until_dead(const Call&, std::chrono::milliseconds limit) const;
  /// Waits until the holder has written that the agent was started. Throws session::Error: BACKEND: it died before; TIMEOUT. Throws Cancelled.
  void wait_until_started(const Call&, std::chrono::milliseconds limit) const;
  /// Ends the story of an instance that could not do it itself. Only while it is dead.
  void write_end(int exit_code) const;
  /// Kills QEMU, and then whatever else holds the lock.
  void kill_all() const;

  /// The last thing that the guest's kernel or its first program complained about; "": nothing.
  [[nodiscard]] std::string last_words() const;

  /// Takes the lock that alive() asks for; an empty one: somebody has it.
  [[nodiscard]] Fd take_lock() const;
  /// A listening socket of that name. Throws std::system_error.
  [[nodiscard]] Fd listen(const std::string& name) const;
  /// Throws session::Error NOT_FOUND: nobody listens.
  [[nodiscard]] Fd connect(const std::string& name) const;

  /// State, times and exit code, from the files and QEMU. `may_be_paused`: unless nobody can have halted it yet, or nobody asks.
  [[nodiscard]] Instance observe(bool may_be_paused = true) const;
  /// Deletes all of it. Only while it is dead.
  void clear() const;

 private:
  std::string m_directory;
};

}  // namespace kortex::microvm
