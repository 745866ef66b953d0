#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <kortex/processes.hpp>

#include <boost/test/unit_test.hpp>

using namespace kortex;
using namespace std::chrono_literals;

namespace {

/// Waits to be killed.
class Victim {
 public:
  Victim() : m_pid(::fork()) {
    if (m_pid == 0)
      for (;;) ::pause();
  }
  Victim(const Victim&) = delete;
  Victim& operator=(const Victim&) = delete;
  ~Victim() {
    ::kill(m_pid, SIGKILL);
    ::waitpid(m_pid, nullptr, 0);
  }
  [[nodiscard]] pid_t pid() const { return m_pid; }
  [[nodiscard]] bool ended() const {
    siginfo_t info{};
    return ::waitid(P_PID, static_cast<id_t>(m_pid), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == m_pid;
  }

 private:
  pid_t m_pid;
};

bool has(const std::vector<std::string>& all, const std::string& one) { return std::find(all.begin(), all.end(), one) != all.end(); }

}  // namespace

BOOST_AUTO_TEST_SUITE(processes)

BOOST_AUTO_TEST_CASE(kills_who_is_still_who_was_meant_and_nobody_else) {
  const Victim meant, another;
  kill_process(another.pid(), [] { return false; }, 0ms);
  kill_process(meant.pid(), [] { return true; }, 10000ms);
  BOOST_TEST(meant.ended());
  BOOST_TEST(!another.ended());
}

BOOST_AUTO_TEST_CASE(a_number_that_is_nobodys_is_passed_over) {
  bool asked = false;
  kill_process(0x7ffffff0, [&] { return asked = true; }, 10000ms);
  BOOST_TEST(!asked);
}

BOOST_AUTO_TEST_CASE(tells_who_has_a_file_open) {
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  struct stat status {}, other {};
  BOOST_REQUIRE(::fstat(file.get(), &status) == 0);
  BOOST_REQUIRE(::stat("/", &other) == 0);
  const std::string self = std::to_string(::getpid());
  BOOST_TEST(has_open(self, status));
  BOOST_TEST(!has_open(self, other));
  BOOST_TEST(!has_open("0", status));
}

BOOST_AUTO_TEST_CASE(of_a_directory_only_the_numbers_are_told) {
  BOOST_TEST(has(numbers_in("/proc"), std::to_string(::getpid())));
  BOOST_TEST(!has(numbers_in("/proc"), "self"));
  BOOST_TEST(numbers_in("/no/such/directory").empty());
}

BOOST_AUTO_TEST_SUITE_END()
