/// The fake backend: what a daemon would know, kept in the plugin's directory across instances.
///
///     instances/<key>   a symbolic link whose TARGET is the whole state: state:created:started:finished:exit:flags:ports
///     made/<key>        what create() was asked, "name=value" lines; read when it is needed
///     logs/<key>        "<Unix time in ms> <text>" lines
///
/// One readlink() tells an instance's state, and rename() changes it at once. So the state can be changed behind
/// the host's back, with trailing fields left out:
///     ln -sfn failed:0:0:0:9  <store>/runtimes/fake/instances/<key>     rm <store>/runtimes/fake/instances/<key>
/// A file `down` beside these directories is a backend that is not running; its text is the reason.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <kortex/fd.hpp>
#include <kortex/types.hpp>

namespace fake {

struct Entry {
  kortex::State state = kortex::State::unknown;
  std::int64_t created_ms = 0, started_ms = 0, finished_ms = 0;
  int exit_code = -1;
  bool faulty = false;  ///< made/<key> holds faults to play
  std::vector<kortex::Forward> forwards;
};

[[nodiscard]] std::string to_text(const Entry&);
[[nodiscard]] Entry entry_from_text(const char* text);
[[nodiscard]] std::int64_t now_ms();

/// Reading makes nothing: what was never written is not there. All throw std::system_error.
class Entries {
 public:
  explicit Entries(std::string directory) : m_directory(std::move(directory)) {}

  [[nodiscard]] std::optional<std::string> down() const;
  [[nodiscard]] std::optional<Entry> read(const char* key);
  void write(const char* key, const Entry&);
  void remove(const char* key);
  [[nodiscard]] std::vector<std::string> keys();

  [[nodiscard]] kortex::KeyValues made(const char* key) const;
  void write_made(const char* key, const kortex::KeyValues&);

  void log(const char* key, const std::string& text);
  [[nodiscard]] kortex::Fd open_log(const char* key) const;

  /// Readable whenever an instance or a log has changed.
  [[nodiscard]] kortex::Fd watch() const;

 private:
  int instances();  ///< the open directory; -1: there is none
  void make_directories();

  std::string m_directory;
  kortex::Fd m_instances;
};

}  // namespace fake
