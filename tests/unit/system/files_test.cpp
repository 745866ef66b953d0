#include "system/files.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "sandbox.hpp"

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::Sandbox;

namespace {

template <class Function>
int errno_of(Function function) {
  try {
    function();
  } catch (const std::system_error& error) {
    return error.code().value();
  }
  return 0;
}

std::ptrdiff_t entries(const fs::path& directory) {
  return std::distance(fs::directory_iterator(directory), fs::directory_iterator());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(reads_whole_files_up_to_a_limit) {
  Sandbox sandbox;
  const std::string bytes("a\0b\n", 4);
  std::ofstream(sandbox / "f", std::ios::binary) << bytes;
  BOOST_TEST(read_file(sandbox / "f", 4) == bytes);
  BOOST_TEST(errno_of([&] { static_cast<void>(read_file(sandbox / "f", 3)); }) == EFBIG);
  BOOST_TEST(!read_file("/proc/self/status", 1 << 16).empty());
  BOOST_TEST(errno_of([] { static_cast<void>(read_file("/proc/self/status", 100)); }) == EFBIG);
}

BOOST_AUTO_TEST_CASE(refuses_what_is_not_a_file_without_blocking) {
  Sandbox sandbox;
  BOOST_TEST_REQUIRE(::mkfifo((sandbox / "fifo").c_str(), 0600) == 0);
  BOOST_TEST(errno_of([&] { static_cast<void>(read_file(sandbox / "fifo", 10)); }) == EINVAL);
  BOOST_TEST(errno_of([&] { static_cast<void>(read_file(sandbox.path(), 10)); }) == EISDIR);
  BOOST_TEST(errno_of([&] { static_cast<void>(read_file(sandbox / "none", 10)); }) == ENOENT);
}

BOOST_AUTO_TEST_CASE(replaces_a_file_whole) {
  Sandbox sandbox;
  replace_file(sandbox / "f", "one");
  replace_file(sandbox / "f", "two");
  BOOST_TEST(read_file(sandbox / "f", 10) == "two");
  BOOST_TEST(entries(sandbox.path()) == 1);
  struct stat status {};
  BOOST_TEST_REQUIRE(::stat((sandbox / "f").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600u);
}

BOOST_AUTO_TEST_CASE(leaves_the_old_file_and_nothing_else_when_it_fails) {
  Sandbox sandbox;
  replace_file(sandbox / "f", "old");
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10, 10};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    ::_exit(errno_of([&] { replace_file(sandbox / "f", std::string(1000, 'n')); }));
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  BOOST_TEST(WEXITSTATUS(status) == EFBIG);
  BOOST_TEST(read_file(sandbox / "f", 10) == "old");
  BOOST_TEST(entries(sandbox.path()) == 1);
  BOOST_TEST(errno_of([&] { replace_file(sandbox / "none" / "f", "x"); }) == ENOENT);
}

BOOST_AUTO_TEST_CASE(what_a_killed_command_left_is_used_up) {
  Sandbox sandbox;
  std::ofstream(sandbox / "elsewhere") << "kept";
  BOOST_TEST_REQUIRE(::symlink((sandbox / "elsewhere").c_str(), (sandbox / ".f.new").c_str()) == 0);
  replace_file(sandbox / "f", "new");
  BOOST_TEST(read_file(sandbox / "f", 10) == "new");
  BOOST_TEST(read_file(sandbox / "elsewhere", 10) == "kept");
  BOOST_TEST(entries(sandbox.path()) == 2);
}

BOOST_AUTO_TEST_CASE(makes_directories_that_are_private) {
  Sandbox sandbox;
  make_private_directories(sandbox / "a" / "b");
  make_private_directories(sandbox / "a" / "b");
  struct stat status {};
  BOOST_TEST_REQUIRE(::stat((sandbox / "a").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0700u);
  std::ofstream{sandbox / "f"}.flush();
  BOOST_TEST(errno_of([&] { make_private_directories(sandbox / "f"); }) == ENOTDIR);
  BOOST_TEST(errno_of([&] { make_private_directories(sandbox / "f" / "g"); }) == ENOTDIR);
}

BOOST_AUTO_TEST_SUITE_END()
