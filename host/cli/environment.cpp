#include "cli/environment.hpp"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/auxv.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#include "system/error.hpp"

namespace kortex::host {
namespace {

std::string working_directory() {
  char buffer[PATH_MAX];
  if (::getcwd(buffer, sizeof buffer) == nullptr)
    throw Error(ErrorKind::failed, "cannot find out the working directory: " + reason_of(errno));
  return buffer;
}

std::string executable() {
  char buffer[PATH_MAX];
  const ssize_t size = ::readlink("/proc/self/exe", buffer, sizeof buffer);
  return size > 0 ? std::string(buffer, static_cast<std::size_t>(size)) : std::string();
}

std::int64_t unix_time_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1'000'000;
}

}  // namespace

Environment environment_of_process(int argc, char** argv) {
  Environment environment;
  if (argc > 0) environment.args.assign(argv + 1, argv + argc);
  environment.getenv = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  environment.now_ms = unix_time_ms;
  environment.cwd = working_directory;
  environment.binary = executable;
  environment.in_tty = ::isatty(0) == 1;
  environment.out_tty = ::isatty(1) == 1;
  environment.err_tty = ::isatty(2) == 1;
  environment.privileged = ::getauxval(AT_SECURE) != 0;
  return environment;
}

void secure_standard_descriptors() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) continue;
    // The wrong direction on purpose: reading a closed stdin and writing a closed stdout stay errors.
    if (::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd) ::_exit(1);
  }
  ::signal(SIGPIPE, SIG_IGN);
}

}  // namespace kortex::host
