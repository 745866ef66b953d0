/// Which files may be loaded as a runtime, as an administrator or the user has pinned them:
///
///     /etc/kortex/runtimes.d/podman.conf          sha256 = 64 digits     (several lines: any of them)
///     /etc/kortex/runtimes.d/policy.conf          policy = pinned-only   (in any file)
///
/// and the same in ~/.config/kortex/runtimes.d. A file that both pin must satisfy both; the user cannot loosen what the
/// administrator says. A pin that cannot be understood lets nothing pass.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace kortex::host {

class Pins {
 public:
  /// None: everything passes.
  Pins() = default;
  /// Of these directories, the administrator's first. What is not there pins nothing. Never throws.
  explicit Pins(const std::vector<std::filesystem::path>& directories);

  /// Why the file must not be loaded as that runtime; empty: it may.
  [[nodiscard]] std::string refusal(const std::string& runtime, const std::filesystem::path& file) const;

 private:
  struct Place {
    std::map<std::string, std::vector<std::string>> digests;
    std::map<std::string, std::filesystem::path> files;  ///< where they stand
    std::filesystem::path policy;                        ///< the file with pinned-only; empty: none
    std::string problem;
  };
  static Place read(const std::filesystem::path& directory);
  std::vector<Place> m_places;
};

}  // namespace kortex::host
