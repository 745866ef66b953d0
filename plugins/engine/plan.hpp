/// What a workspace becomes in an engine: one container, described without any engine's dialect, and the same in
/// the two dialects there are.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <kortex/types.hpp>

#include "engine/json_read.hpp"

namespace kortex::engine {

// Where the session holder and its directory appear in every container of ours.
inline constexpr const char* holder_program = "/run/kortex/kortex-session";
inline constexpr const char* holder_directory = "/run/kortex/state";

inline constexpr const char* label_key = "io.kortex.key";
inline constexpr const char* label_name = "io.kortex.name";
inline constexpr const char* label_version = "io.kortex.version";
inline constexpr const char* label_home = "io.kortex.home";
inline constexpr const char* label_git = "io.kortex.git-directory";

/// Who the agent is, inside and outside.
struct Identity {
  std::uint32_t uid = 0, gid = 0;            ///< in the container
  std::uint32_t host_uid = 0, host_gid = 0;  ///< whose files these are on this machine
  std::string user_namespace;                ///< the engine's word for it: "keep-id", "host"; empty: its default
};

struct Container {
  std::string name, image, hostname, directory;
  Identity identity;
  KeyValues labels;
  std::vector<Mount> mounts;         ///< host_path empty: an empty, private tmpfs
  std::vector<Port> ports;
  bool network = true;
  std::int64_t cpus_milli = 0, memory_bytes = 0, processes = 0;
  bool relabel = false;              ///< SELinux enforces
};

/// Paths that the plan needs to know, so that it can be made without looking at this machine.
struct Places {
  std::string state_dir;        ///< of the instance
  std::string plugin_state_dir; ///< of the plugin across instances
  std::string session_program;
  std::string home;             ///< the user's home directory
};

/// Throws INVALID or UNSUPPORTED for what cannot be.
[[nodiscard]] Container plan(const Ref& ref, const Workspace& workspace, const Places& places, const Identity& identity,
                             const std::string& image, const std::string& plugin_version);

// Its parts, for those who make another plan of them: what does not depend on where the engine is, and the labels.
[[nodiscard]] Container basic_plan(const Ref& ref, const Workspace& workspace, const std::string& session_program, const Identity& identity,
                                   const std::string& image);
void label(Container& container, const Ref& ref, const Workspace& workspace, const std::string& plugin_version, const std::string& home);

/// Of the agent: the path of the user's own, that paths in configurations mean by $HOME.
[[nodiscard]] std::string home_of(const Places& places);

/// True for `outer` itself and whatever is below it.
[[nodiscard]] bool is_within(const std::string& inner, const std::string& outer);

/// Makes the directories on this machine that the container's mounts need, owned by the identity.
void prepare_directories(const Container& container, const Places& places);

/// For a git worktree whose repository is elsewhere: that repository's own directory; else empty.
[[nodiscard]] std::string outside_git_directory(const std::string& sources);

/// The agent's environment: the image's, what the runtime sets, what the user asked for, later ones first.
[[nodiscard]] std::vector<std::string> agent_environment(const json::value& image_env, const std::string& home, const std::string& name,
                                                         const std::vector<std::string>& given);

/// Of POST /containers/create.
[[nodiscard]] json::object docker_body(const Container& container);
/// Of POST /libpod/containers/create. Podman's docker-compatible create goes through comma-separated text and
/// cannot carry every path.
[[nodiscard]] json::object libpod_body(const Container& container);

}  // namespace kortex::engine
