/// kortex_call's run(): starting programs for a plugin, as the host does.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <string_view>

#include <kortex/runtime.h>

namespace kortex::check {

class Programs {
 public:
  struct Surroundings {
    int cancel_fd = -1, signal_fd = -1;
    std::int64_t deadline_ms = -1;
    int in = -1, out = -1, err = -1;  ///< the user's terminal, of exec and terminal
    std::function<bool(kortex_stream, std::string_view)> output;
    std::function<kortex_status(kortex_status, const std::string&)> fail;
    std::function<void(std::int64_t pid)> started, ended;  ///< of what must not outlive the operation
  };
  explicit Programs(Surroundings surroundings) : m_surroundings(std::move(surroundings)) {}

  kortex_status run(const kortex_process&, kortex_process_result*);

 private:
  Surroundings m_surroundings;
  std::deque<std::string> m_captured;  ///< until the operation has returned
};

[[nodiscard]] std::int64_t monotonic_ms();

}  // namespace kortex::check
