/// What the agent sees of this machine: an ordered list of mounts, made from the workspace and this
/// machine's layout, and written out as bubblewrap's arguments.
///
/// The order is the whole difficulty. bubblewrap mounts one after another, so what lies deeper must come
/// later; the private home comes before the sources, which usually lie in it; and whatever would show the
/// store (other workspaces' state) is covered right after the mount that brought it in.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <kortex/runtime.h>

namespace kortex::process {

/// Where things are on the host. Absolute paths.
struct HostPlaces {
  std::string home;            ///< of the user
  std::string state_dir;       ///< this instance's; "" while there is none
  std::string plugin_dir;      ///< this plugin's across instances
  std::string session_program;
  std::string etc;             ///< what is shown as /etc: see public_etc()
};

/// Where the session holder is found in the sandbox.
inline constexpr const char* holder_in_sandbox = "/run/kortex/session";

struct Mounted {
  enum class Kind { bind, read_only_bind, symlink, directory, scratch, empty, proc, dev };  ///< empty: a read-only nothing
  Kind kind;
  std::string source;  ///< on the host; a symlink's text; "" for the others
  std::string target;
};

/// The main repository's directory of a git worktree, when `sources` is one and the repository agrees (it names
/// this worktree, too: a `.git` file alone proves nothing, the agent can write it).
[[nodiscard]] std::optional<std::string> worktree_repository(const std::string& sources);

/// The sandbox's file system, in mounting order. Throws kortex::Error (INVALID, NOT_FOUND) for what cannot be.
[[nodiscard]] std::vector<Mounted> sandbox_view(const kortex_workspace&, const HostPlaces&);

/// Throws kortex::Error(INVALID) for a mount at a place that the sandbox needs for itself or that bubblewrap cannot mount at.
void check_mount_targets(const kortex_workspace&);

/// The descriptor on which bubblewrap must find seccomp_filter(), unless that is empty.
inline constexpr int filter_descriptor = 9;
/// Appends bubblewrap's arguments for this file system.
void append_mounts(std::vector<std::string>& arguments, const std::vector<Mounted>&);
/// bubblewrap's arguments, up to and including "--".
[[nodiscard]] std::vector<std::string> sandbox_command(const std::vector<Mounted>&, const kortex_workspace&, bool filtered);

/// What of the host the agent can reach, in plain words.
[[nodiscard]] std::vector<std::string> exposure(const kortex_workspace&, const HostPlaces&);

}  // namespace kortex::process
