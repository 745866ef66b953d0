#include "instances/mount_rules.hpp"

#include <filesystem>
#include <system_error>
#include <vector>

namespace kortex::host {

namespace {

/// Both absolute and normal.
bool lies_in(const std::string& path, const std::string& directory) {
  if (directory == "/") return true;
  return path.compare(0, directory.size(), directory) == 0 && (path.size() == directory.size() || path[directory.size()] == '/');
}

/// What is there in the end; of what does not exist, as far as it does.
std::string resolved(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::weakly_canonical(path, error);
  return error ? path : real.string();
}

}  // namespace

std::optional<std::string> escape_of(const WorkspaceSpec& spec) {
  if (const std::string now = resolved(spec.source_path); now != spec.source_path)
    return "cannot use the sources '" + spec.source_path + "': there is a symbolic link now, to '" + now + "'";
  std::vector<std::string> writable{spec.source_path};
  for (const Mount& mount : spec.mounts)
    if (!mount.read_only) writable.push_back(mount.host);
  for (const Mount& mount : spec.mounts)
    for (const std::string& area : writable)
      if (mount.host != area && lies_in(mount.host, area) && !lies_in(resolved(mount.host), resolved(area)))
        return "cannot mount '" + mount.host + "': it leads out of '" + area + "' through a symbolic link that the agent could have made";
  return std::nullopt;
}

std::optional<std::string> kernel_directory_of(const std::string& path) {
  if (lies_in(path, "/dev/shm") && path != "/dev/shm") return std::nullopt;
  for (const char* directory : {"/proc", "/sys", "/dev"})
    if (lies_in(path, directory)) return directory;
  return std::nullopt;
}

std::optional<Objection> objection_to(const Mount& mount, const WorkspaceSpec& spec) {
  using About = Objection::About;
  if (mount.host == "/" && !mount.read_only)
    return Objection{About::host, "cannot mount '/' read and write: nothing would be kept from the agent", "write \"ro\": true beside it, or mount less"};
  if (const auto kernel = kernel_directory_of(mount.target))
    return Objection{About::target, "cannot mount anything at '" + mount.target + "': '" + *kernel + "' is the kernel's own", {}};
  if (!lies_in(spec.target_path, mount.target)) return std::nullopt;
  if (mount.target == spec.target_path)
    return Objection{About::target, "cannot mount '" + mount.host + "' at '" + mount.target + "': it would hide the sources, which are there already", {}};
  // Around the sources there may be what is around them on this machine, but nothing that knows no such place.
  const std::string below = spec.target_path.substr(mount.target.size());
  if (mount.host + below != spec.source_path)
    return Objection{About::target,
                     "cannot mount '" + mount.host + "' at '" + mount.target + "': the sources '" + spec.target_path + "' are in there", {}};
  return std::nullopt;
}

}  // namespace kortex::host
