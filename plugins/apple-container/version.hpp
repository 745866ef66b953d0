/// The version of Apple's tool, and what it can do from which version on. Where each fact comes from is told in
/// tests/engines/apple-container/README.md.
#pragma once

#include <compare>
#include <cstdio>
#include <optional>
#include <string>

namespace kortex::apple {

struct Version {
  int major = 0, minor = 0, patch = 0;
  auto operator<=>(const Version&) const = default;

  [[nodiscard]] std::string text() const { return std::to_string(major) + "." + std::to_string(minor) + "." + std::to_string(patch); }

  /// The first number with a dot in it: "container CLI version 1.2.2 (build: release, commit: 0000000)".
  [[nodiscard]] static std::optional<Version> find_in(const std::string& said) {
    for (std::size_t at = 0; at < said.size(); ++at) {
      if (said[at] < '0' || said[at] > '9') continue;
      Version found;
      if (std::sscanf(said.c_str() + at, "%d.%d.%d", &found.major, &found.minor, &found.patch) >= 2) return found;
      while (at < said.size() && said[at] >= '0' && said[at] <= '9') ++at;
    }
    return std::nullopt;
  }
};

/// The oldest that this runtime was written for.
inline constexpr Version oldest{0, 4, 0};

inline bool has_images_as_json(const Version& version) { return version >= Version{0, 5, 0}; }
inline bool has_single_file_mounts(const Version& version) { return version >= Version{0, 9, 0}; }
inline bool has_status_as_json(const Version& version) { return version >= Version{0, 10, 0}; }
/// `--network none` that leaves nothing but the loopback.
inline bool has_network_none(const Version& version) { return version >= Version{1, 1, 0}; }

}  // namespace kortex::apple
