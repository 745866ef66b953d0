#include "system/file_lock.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <system_error>

#include "sandbox.hpp"

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::Sandbox;
using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

namespace {

struct Fixture {
  Fixture() { std::ofstream(sandbox / "lock"); }
  Sandbox sandbox;
  fs::path file = sandbox / "lock";
};

/// A process that holds the lock until told to end, or killed.
class Holder {
 public:
  explicit Holder(const fs::path& file) {
    kortex::Pipe ready = kortex::Pipe::make(), end = kortex::Pipe::make();
    m_pid = ::fork();
    if (m_pid == 0) {
      end.write.reset();
      const auto lock = FileLock::try_acquire(file);
      char byte = 0;
      ::_exit(lock && ::write(ready.write.get(), "r", 1) == 1 && ::read(end.read.get(), &byte, 1) == 0 ? 0 : 1);
    }
    char byte = 0;
    BOOST_TEST_REQUIRE(::read(ready.read.get(), &byte, 1) == 1);
    m_end = std::move(end.write);
  }
  ~Holder() {
    finish();
    ::waitpid(m_pid, nullptr, 0);
  }
  void finish() { m_end.reset(); }

 private:
  pid_t m_pid = -1;
  kortex::Fd m_end;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(file_lock, Fixture)

BOOST_AUTO_TEST_CASE(one_at_a_time) {
  {
    const auto lock = FileLock::try_acquire(file);
    BOOST_TEST(lock.has_value());
    BOOST_TEST(!FileLock::try_acquire(file).has_value());
    BOOST_TEST(FileLock::is_held(file));
  }
  BOOST_TEST(!FileLock::is_held(file));
  BOOST_TEST(FileLock::try_acquire(file).has_value());
}

BOOST_AUTO_TEST_CASE(ends_with_its_process) {
  Holder holder(file);
  BOOST_TEST(FileLock::is_held(file));
  holder.finish();
  BOOST_TEST(FileLock::acquire(file, 10000, {}).has_value());
}

BOOST_AUTO_TEST_CASE(says_that_it_waits_and_gives_up_in_time) {
  const Holder holder(file);
  int said = 0;
  const auto begin = Clock::now();
  BOOST_TEST(!FileLock::acquire(file, 700, [&] { ++said; }).has_value());
  const auto took = Clock::now() - begin;
  BOOST_TEST((took >= 700ms && took < 5s));
  BOOST_TEST(said == 1);
  BOOST_TEST(!FileLock::acquire(file, 10, [&] { ++said; }).has_value());
  BOOST_TEST(said == 1);
  BOOST_TEST(!FileLock::acquire(file, 0, {}).has_value());
}

BOOST_AUTO_TEST_CASE(waits_for_its_turn_and_then_has_it) {
  Holder holder(file);
  const auto lock = FileLock::acquire(file, 20000, [&] { holder.finish(); });
  BOOST_TEST(lock.has_value());
  BOOST_TEST(FileLock::is_held(file));
  BOOST_TEST(!FileLock::try_acquire(file).has_value());
}

BOOST_AUTO_TEST_CASE(notices_that_the_file_has_gone_meanwhile) {
  Holder holder(file);
  try {
    static_cast<void>(FileLock::acquire(file, 20000, [&] {
      fs::remove(file);
      holder.finish();
    }));
    BOOST_FAIL("no error was thrown");
  } catch (const std::system_error& error) {
    BOOST_TEST(error.code().value() == ENOENT);
  }
  BOOST_TEST(!FileLock::is_held(file));
  BOOST_CHECK_THROW(static_cast<void>(FileLock::try_acquire(file)), std::system_error);
}

BOOST_AUTO_TEST_CASE(stays_held_as_long_as_a_child_works) {
  kortex::Pipe end = kortex::Pipe::make();
  pid_t child = -1;
  {
    const auto lock = FileLock::try_acquire(file);
    child = ::fork();
    if (child == 0) {
      end.write.reset();
      char byte = 0;
      ::_exit(::read(end.read.get(), &byte, 1) == 0 ? 0 : 1);
    }
  }
  BOOST_TEST(FileLock::is_held(file));
  end.write.reset();
  ::waitpid(child, nullptr, 0);
  BOOST_TEST(!FileLock::is_held(file));
}

BOOST_AUTO_TEST_CASE(looking_does_not_disturb_taking) {
  const pid_t looker = ::fork();
  if (looker == 0)
    for (;;) static_cast<void>(FileLock::is_held(file));
  for (int i = 0; i < 2000; ++i) BOOST_TEST_REQUIRE(FileLock::try_acquire(file).has_value());
  ::kill(looker, SIGKILL);
  ::waitpid(looker, nullptr, 0);
}

BOOST_AUTO_TEST_SUITE_END()
