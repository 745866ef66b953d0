/// What a workspace asks of a runtime, resolved: the host's side of `kortex_workspace`. Plain data;
/// `config` makes it, `instances` stores it, `runtimes` hands it to a plugin.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kortex::host {

struct Mount {
  std::string host;    ///< absolute
  std::string target;  ///< absolute
  bool read_only = false;
  bool optional = false;  ///< skipped when `host` does not exist
  bool operator==(const Mount&) const = default;
};

struct Port {
  std::uint16_t target = 0;
  std::uint16_t host_port = 0;  ///< 0: the runtime chooses
  std::string bind;             ///< empty: 127.0.0.1
  bool operator==(const Port&) const = default;
};

struct Network {
  enum class Mode { allow, deny };
  Mode mode = Mode::allow;
  std::vector<std::string> hosts;  ///< with deny: what stays reachable
  bool operator==(const Network&) const = default;
};

struct Resources {
  std::int64_t cpus_milli = 0;    ///< 0: no limit asked for
  std::int64_t memory_bytes = 0;  ///< 0: no limit asked for
  std::int64_t processes = 0;     ///< 0: no limit asked for
  bool operator==(const Resources&) const = default;
};

using KeyValues = std::vector<std::pair<std::string, std::string>>;

/// The label that says whose an instance is: the mark of the store that its workspace is, or was, registered in, and the runtime that made it.
inline constexpr const char* store_label = "io.kortex.store";

struct WorkspaceSpec {
  KeyValues options;          ///< --runtime-option of the instance, checked and completed
  KeyValues global_options;   ///< those that the plugin declares GLOBAL: given to its open()
  std::string source_path;    ///< absolute
  std::string config_path;    ///< absolute directory of workspace.json; may not exist
  std::string target_path;    ///< where the sources appear in the instance
  std::string project;        ///< empty: none
  std::string agent_name;
  std::vector<std::string> agent_argv;       ///< never empty
  KeyValues labels;                          ///< for the backend's objects, beside the key; not stored
  KeyValues env;                             ///< stated literally by configuration or agent
  std::vector<std::string> env_passthrough;  ///< names whose values are read when the agent is started
  std::vector<Mount> mounts;
  std::vector<Port> ports;
  Network network;
  Resources resources;
  std::string image;          ///< empty: the runtime's default
  std::string build_context;  ///< empty: no build
  std::string build_file;
  std::int64_t uid = -1;      ///< owner of the sources
  std::int64_t gid = -1;
  bool operator==(const WorkspaceSpec&) const = default;
};

}  // namespace kortex::host
