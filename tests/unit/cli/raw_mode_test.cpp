#include "cli/terminal/raw_mode.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <stdexcept>

using namespace kortex::host;

namespace {

struct PseudoTerminal {
  kortex::Fd user{::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC)};
  kortex::Fd program;

  PseudoTerminal() {
    if (::grantpt(user.get()) != 0 || ::unlockpt(user.get()) != 0) throw std::runtime_error("pty");
    program.reset(::open(::ptsname(user.get()), O_RDWR | O_NOCTTY | O_CLOEXEC));
  }
  [[nodiscard]] bool cooked() const {
    termios modes{};
    ::tcgetattr(user.get(), &modes);
    return (modes.c_lflag & (ICANON | ECHO | ISIG)) == (ICANON | ECHO | ISIG) && (modes.c_oflag & OPOST) != 0;
  }
  [[nodiscard]] bool raw() const {
    termios modes{};
    ::tcgetattr(user.get(), &modes);
    return (modes.c_lflag & (ICANON | ECHO | ISIG)) == 0 && (modes.c_oflag & OPOST) == 0;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(raw_mode)

BOOST_AUTO_TEST_CASE(gives_the_terminal_back_when_it_goes_out_of_scope) {
  const PseudoTerminal pty;
  {
    const RawMode raw(pty.program.get());
    BOOST_TEST(pty.raw());
  }
  BOOST_TEST(pty.cooked());
  BOOST_TEST(::waitpid(-1, nullptr, WNOHANG) == -1);
}

BOOST_AUTO_TEST_CASE(gives_the_terminal_back_when_the_process_is_killed_and_its_children_live_on) {
  PseudoTerminal pty;
  kortex::Pipe survives = kortex::Pipe::make();
  const pid_t process = ::fork();
  if (process == 0) {
    const RawMode raw(pty.program.get());
    if (!pty.raw()) ::_exit(1);
    // A plugin's process: it inherits all descriptors, and the death of its parent does not end it at once.
    if (::fork() == 0) {
      pty.program.reset();
      survives.write.reset();
      char end;
      (void)!::read(survives.read.get(), &end, 1);
      ::_exit(0);
    }
    ::raise(SIGKILL);
  }
  pty.program.reset();
  int status = 0;
  BOOST_REQUIRE(::waitpid(process, &status, 0) == process);
  BOOST_TEST((WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  // The guardian holds the terminal open until it has done its work.
  pollfd hangup{pty.user.get(), 0, 0};
  BOOST_REQUIRE(::poll(&hangup, 1, 10'000) == 1);
  BOOST_TEST(pty.cooked());
}

BOOST_AUTO_TEST_CASE(asks_the_size_of_the_first_that_is_a_terminal) {
  const PseudoTerminal pty;
  const winsize size{33, 101, 0, 0};
  ::ioctl(pty.user.get(), TIOCSWINSZ, &size);
  const kortex::Fd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  const TerminalSize found = terminal_size(null.get(), pty.program.get());
  BOOST_TEST(found.rows == 33);
  BOOST_TEST(found.columns == 101);
  BOOST_TEST(terminal_size(null.get(), null.get()).rows == 0);
}

BOOST_AUTO_TEST_SUITE_END()
