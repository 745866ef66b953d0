/// The user's terminal in raw mode, given back on every way out: the destructor, and when this process
/// dies without running it (SIGKILL included), a guardian process that does nothing but wait for that.
#pragma once

#include <sys/types.h>
#include <termios.h>

#include <cstdint>

#include <kortex/fd.hpp>

namespace kortex::host {

class RawMode {
 public:
  /// `terminal`: borrowed, must be a terminal. Throws Error(failed). Forks: call it while no other thread runs.
  explicit RawMode(int terminal);
  RawMode(const RawMode&) = delete;
  RawMode& operator=(const RawMode&) = delete;
  ~RawMode();

 private:
  void give_back() noexcept;

  int m_terminal;
  termios m_before{};
  Fd m_guardian_pipe;
  pid_t m_guardian = -1;
};

struct TerminalSize {
  std::uint16_t rows = 0, columns = 0;
};
/// Asked of the first of the two that is a terminal; zeros: of none.
[[nodiscard]] TerminalSize terminal_size(int out, int in);

}  // namespace kortex::host
