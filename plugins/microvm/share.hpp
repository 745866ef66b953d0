/// What the guest sees of this machine's files: one tree, put together by bubblewrap in a mount namespace of its own
/// and served from there by virtiofsd. What is not in the tree cannot be reached, and what is read-only in it is so
/// on this side already, whoever rules in the guest.
///
///     root/        the root file system, where it is a directory or the host's own
///     sources      the sources
///     mount/N      the mounts
///     session/     files for the holder's story and the agent's output
#pragma once

#include <string>
#include <vector>

#include <kortex/types.hpp>

#include "owner.hpp"
#include "programs.hpp"
#include "root.hpp"

namespace kortex::microvm {

/// A piece of the tree that the guest mounts somewhere.
struct Shared {
  std::string source;  ///< on this machine
  std::string name;    ///< in the tree
  std::string target;  ///< in the guest
  bool read_only = false;
};

struct HostPlaces {
  std::string state_dir;   ///< this instance's; "" while there is none
  std::string plugin_dir;  ///< this plugin's, across instances
};

/// The sources and the mounts, shallow targets first. Throws INVALID, PERMISSION.
[[nodiscard]] std::vector<Shared> shared_folders(const Workspace&, const HostPlaces&);

/// The main repository of a git worktree that the sources are, when it agrees; "": none.
[[nodiscard]] std::string worktree_repository(const std::string& sources);

/// Where the tree is, for those who serve it.
inline constexpr const char* shared_tree = "/tree";

/// bubblewrap and its arguments, for QEMU to serve the tree itself, by 9p; QEMU's follow. Only as the owner: it writes with its own
/// rights. `read`, `written`: other files it needs, at their own paths.
[[nodiscard]] std::vector<std::string> nine_p_command(const std::vector<Shared>&, const Root&, const Owner&, const HostPlaces&,
                                                      const std::vector<std::string>& read, const std::vector<std::string>& written);

/// bubblewrap, virtiofsd and their arguments. virtiofsd serves the socket on descriptor `listen_fd` as the owner and
/// nobody else: whatever the guest's root tries, it has the owner's rights at most.
[[nodiscard]] std::vector<std::string> share_command(const std::vector<Shared>&, const Root&, const Owner&, const HostPlaces&, const Virtiofsd&,
                                                     int listen_fd);

/// What of this machine the agent can reach, in plain words.
[[nodiscard]] std::vector<std::string> exposure(const Workspace&, const std::vector<Shared>&, const Root&, const HostPlaces&);

}  // namespace kortex::microvm
