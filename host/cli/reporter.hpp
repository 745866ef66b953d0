/// Standard error: what people read while a command works and when it failed. A live line never gets
/// mixed up with a message: it is erased before anything else is written.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "runtimes/runtime.hpp"
#include "system/error.hpp"

namespace kortex::host {

class Reporter {
 public:
  enum class Mode {
    live,   ///< one line, repainted at most ten times a second, erased at the end
    plain,  ///< a line for each new step
    json,   ///< one JSON object per line, messages included
    none
  };

  Reporter(int fd, Mode mode, bool notices, std::function<std::int64_t()> now_ms)
      : m_fd(fd), m_mode(mode), m_notices(notices), m_now_ms(std::move(now_ms)) {}
  Reporter(const Reporter&) = delete;
  Reporter& operator=(const Reporter&) = delete;
  ~Reporter() { clear(); }

  void error(const Error&);
  void warning(std::string_view text);
  void notice(std::string_view text);  ///< kept back with `-o json`
  void hint(std::string_view text);
  void progress(const std::string& runtime, const Progress&);
  void clear();
  /// Lets the time on the live line go on. False: there is none.
  bool repaint();

 private:
  void line(std::string_view text);
  void event(std::string_view name, std::string_view message);
  void paint();

  int m_fd;
  Mode m_mode;
  bool m_notices;
  std::function<std::int64_t()> m_now_ms;
  bool m_painted = false;
  Progress m_last;
  std::int64_t m_phase_since = 0, m_painted_at = 0;
};

}  // namespace kortex::host
