/// An instance's directory: what is in it, and what it says about the instance.
///
///     instance          what create() was given and inspect() needs: `created <ms>`, `sandbox <kind>`, `port <n>`…
///     boot              the boot id at the last start
///     session.sock      the holder's socket            session.lock     F_GETLK on it tells the holder's pid
///     session.status    the holder's story, and the truth of whether anything of the instance lives
///     output.0 output.1 what the agent wrote           home tmp          the agent's own directories
///
/// Truth: an open-file-description lock on session.status. start() takes it before anything runs, and whatever it
/// starts inherits it, so that there is no moment in which an instance lives unseen. Unlike flock() it can be
/// asked for without being taken, so `list` never disturbs a start. Pids are only ever told or signalled, never believed.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kortex/runtime.hpp>
#include <kortex/session.hpp>

namespace kortex::process {

struct Record {
  std::int64_t created_ms = 0;
  bool sandboxed = true;
  std::vector<std::uint16_t> ports;
};

class InstanceFiles {
 public:
  explicit InstanceFiles(const Ref& ref) : m_directory(ref.state_dir()) {}
  explicit InstanceFiles(std::string directory) : m_directory(std::move(directory)) {}

  [[nodiscard]] const std::string& directory() const { return m_directory; }
  [[nodiscard]] std::string path(const char* name) const { return m_directory + "/" + name; }

  /// nullopt: create() has not been here.
  [[nodiscard]] std::optional<Record> record() const;
  void write_record(const Record&) const;

  [[nodiscard]] session::StatusFile story() const;
  /// Something of the instance lives.
  [[nodiscard]] bool alive() const;
  /// The holder's pid as seen from here; 0: it does not hold its lock.
  [[nodiscard]] std::int64_t holder_pid() const;
  /// Waits until alive() is false; false after `limit`. Throws Cancelled.
  [[nodiscard]] bool wait_until_dead(const Call&, std::chrono::milliseconds limit) const;
  /// Ends the story of an instance that could not do it itself. Only while it is dead.
  void write_end(int exit_code) const;

  /// State, times and exit code, from the files alone: cheap, and never blocks.
  [[nodiscard]] Instance observe() const;

 private:
  std::string m_directory;
};

[[nodiscard]] std::int64_t now_ms();
[[nodiscard]] std::string boot_id();

/// Takes the lock that alive() asks for. False: somebody has it.
[[nodiscard]] bool lock_story(int status_fd);

/// Writes `text` to a new file that replaces `path`. Throws std::system_error.
void replace_file(const std::string& path, const std::string& text);

/// Deletes `path` and what it holds, whatever modes the agent gave its directories. Missing: done.
void remove_tree(const std::string& path);

}  // namespace kortex::process
