#include "surroundings.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <cstdlib>
#include <cstring>
#include <memory>

extern char** environ;

namespace kortex::check {
namespace {

std::set<int> numbers_in(const char* directory) {
  std::set<int> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::opendir(directory), ::closedir);
  if (!stream) return out;
  while (const dirent* entry = ::readdir(stream.get()))
    if (entry->d_name[0] != '.' && std::atoi(entry->d_name) != ::dirfd(stream.get())) out.insert(std::atoi(entry->d_name));
  return out;
}

std::string identity_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return "closed";
  return std::to_string(status.st_dev) + ':' + std::to_string(status.st_ino);
}

std::string place_of(int fd) {
  char target[PATH_MAX];
  const ssize_t size = ::readlink(("/proc/self/fd/" + std::to_string(fd)).c_str(), target, sizeof target);
  return size > 0 ? std::string(target, static_cast<std::size_t>(size)) : std::string("?");
}

bool same_action(const struct sigaction& a, const struct sigaction& b) {
  return a.sa_handler == b.sa_handler && a.sa_flags == b.sa_flags;
}

}  // namespace

Surroundings Surroundings::now() {
  Surroundings out;
  char directory[PATH_MAX];
  out.m_directory = ::getcwd(directory, sizeof directory) != nullptr ? directory : "";
  out.m_locale = std::setlocale(LC_ALL, nullptr);
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) out.m_environment.emplace_back(*entry);
  out.m_umask = ::umask(0);
  ::umask(out.m_umask);
  for (int number = 1; number < 65; ++number) ::sigaction(number, nullptr, &out.m_actions[static_cast<std::size_t>(number)]);
  ::sigprocmask(SIG_BLOCK, nullptr, &out.m_mask);
  for (unsigned i = 0; i < RLIM_NLIMITS; ++i) ::getrlimit(static_cast<__rlimit_resource_t>(i), &out.m_limits[i]);
  for (int fd = 0; fd < 3; ++fd) out.m_standard[static_cast<std::size_t>(fd)] = identity_of(fd);
  out.m_descriptors = numbers_in("/proc/self/fd");
  return out;
}

std::vector<std::string> Surroundings::changes() const {
  const Surroundings then = now();
  std::vector<std::string> out;
  if (then.m_directory != m_directory) out.push_back("the working directory is '" + then.m_directory + "'");
  if (then.m_locale != m_locale) out.push_back("the locale is '" + then.m_locale + "'");
  if (then.m_environment != m_environment) out.emplace_back("the environment has changed");
  if (then.m_umask != m_umask) out.emplace_back("the umask has changed");
  for (std::size_t number = 1; number < 65; ++number)
    if (!same_action(then.m_actions[number], m_actions[number])) out.push_back("what signal " + std::to_string(number) + " does has changed");
  for (int number = 1; number < 65; ++number)
    if (::sigismember(&then.m_mask, number) != ::sigismember(&m_mask, number)) out.push_back("signal " + std::to_string(number) + " is masked otherwise");
  for (std::size_t i = 0; i < m_limits.size(); ++i)
    if (then.m_limits[i].rlim_cur != m_limits[i].rlim_cur || then.m_limits[i].rlim_max != m_limits[i].rlim_max)
      out.push_back("resource limit " + std::to_string(i) + " has changed");
  for (std::size_t fd = 0; fd < 3; ++fd)
    if (then.m_standard[fd] != m_standard[fd]) out.push_back("descriptor " + std::to_string(fd) + " is another file");
  return out;
}

std::vector<std::string> Surroundings::inheritable() const {
  std::vector<std::string> out;
  for (const int fd : numbers_in("/proc/self/fd")) {
    if (m_descriptors.count(fd) != 0) continue;
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0 && (flags & FD_CLOEXEC) == 0) out.push_back("'" + place_of(fd) + "' is open without O_CLOEXEC");
  }
  return out;
}

std::size_t Surroundings::thread_count() { return numbers_in("/proc/self/task").size(); }

}  // namespace kortex::check
