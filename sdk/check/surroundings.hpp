/// The process as the host left it (R8): taken before a plugin is asked for anything, and compared with afterwards.
#pragma once

#include <signal.h>
#include <sys/resource.h>

#include <array>
#include <set>
#include <string>
#include <vector>

namespace kortex::check {

class Surroundings {
 public:
  /// Of this process, now.
  [[nodiscard]] static Surroundings now();

  /// What is different now: "the working directory is '/tmp'", ...
  [[nodiscard]] std::vector<std::string> changes() const;
  /// Descriptors that were not there and that a program would inherit.
  [[nodiscard]] std::vector<std::string> inheritable() const;
  /// As many as there are.
  [[nodiscard]] static std::size_t thread_count();

 private:
  std::string m_directory, m_locale;
  std::vector<std::string> m_environment;
  unsigned m_umask = 0;
  std::array<struct sigaction, 65> m_actions{};
  sigset_t m_mask{};
  std::array<rlimit, RLIM_NLIMITS> m_limits{};
  std::array<std::string, 3> m_standard;
  std::set<int> m_descriptors;
};

}  // namespace kortex::check
