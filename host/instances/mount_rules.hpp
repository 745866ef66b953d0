/// Mounts that no runtime can give a meaning to, refused by the host so that every runtime need not.
#pragma once

#include <optional>
#include <string>

#include "runtimes/workspace_spec.hpp"

namespace kortex::host {

struct Objection {
  enum class About { host, target } about = About::target;
  std::string reason, hint;
};
/// Why `mount` cannot be made beside the sources (`source_path` on this machine, at `target_path` in the instance).
[[nodiscard]] std::optional<Objection> objection_to(const Mount& mount, const WorkspaceSpec&);

/// Why nothing must be made or started of this now: the sources have become a link, or something to be mounted that lies where
/// the agent writes leads out of there. Whoever starts a workspace means what was registered, not what an agent made of it.
[[nodiscard]] std::optional<std::string> escape_of(const WorkspaceSpec&);

/// "/proc", "/sys" or "/dev" when `path` is in it: the kernel's own, no folders of anybody's. /dev/shm is memory to keep files in.
[[nodiscard]] std::optional<std::string> kernel_directory_of(const std::string& path);

}  // namespace kortex::host
