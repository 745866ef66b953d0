/// The session holder as the main process of a container: its directory on this machine, and waiting for it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/session.hpp>

namespace kortex::engine {

/// `<state_dir>/session`: bind-mounted into the container.
class HolderDirectory {
 public:
  explicit HolderDirectory(const std::string& state_dir) : m_path(state_dir + "/session") {}

  [[nodiscard]] std::string socket() const { return m_path + "/session.sock"; }
  [[nodiscard]] std::string status() const { return m_path + "/status"; }
  [[nodiscard]] std::string output(int which) const { return m_path + "/output." + std::to_string(which); }

  /// Forgets the last run, so that what appears is the next one's.
  void clear() const;
  /// Returns when the holder serves. `alive` is asked now and then: false ends the waiting with false.
  [[nodiscard]] bool wait_until_serving(const Call& call, const std::function<bool()>& alive, const std::function<void()>& begin) const;
  /// What the agent has written, or the last `tail` lines of it (-1: all), to call.output().
  void hand_over_output(const Call& call, std::int64_t tail, const session::LogEnd& up_to = {}) const;

 private:
  std::string m_path;
};

/// The same as hand_over_output(), of the holder's directory as an engine packed it (tar).
void hand_over_copied_output(const Call& call, const std::string& archive, std::int64_t tail, const session::LogEnd& up_to = {});

}  // namespace kortex::engine
