/// kortex_call::run(): starting a program for a plugin. Runs in an operation's child.
#pragma once

#include <kortex/runtime.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <string_view>

namespace kortex::host {

/// What a program is run in. Descriptors are borrowed; -1: none.
struct RunnerSurroundings {
  int cancel_fd = -1;
  int signal_fd = -1;             ///< FOREGROUND: its signals are passed on
  std::int64_t deadline_ms = -1;  ///< CLOCK_MONOTONIC
  int terminal_in = -1, terminal_out = -1, terminal_err = -1;  ///< FOREGROUND: the user's
  std::function<bool(kortex_stream, std::string_view)> output;  ///< STREAM; false: stop now
  std::function<void(pid_t)> started, ended;                    ///< its process group, for who kills us
  /// Records why run() failed; returns the code.
  std::function<kortex_status(kortex_status, const std::string& message, const std::string& hint,
                              const std::string& detail)> fail;
};

/// Thread-safe: programs may be run from several threads at once.
class ProcessRunner {
 public:
  explicit ProcessRunner(RunnerSurroundings surroundings) : m_surroundings(std::move(surroundings)) {}

  /// As described at kortex_process. Captured output lives as long as the runner.
  kortex_status run(const kortex_process&, kortex_process_result*);

 private:
  RunnerSurroundings m_surroundings;
  std::mutex m_mutex;
  std::list<std::string> m_captured;
};

inline constexpr std::size_t max_captured_size = 64 * 1024 * 1024;

}  // namespace kortex::host
