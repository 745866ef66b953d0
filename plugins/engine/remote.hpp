/// What is different when the engine is on another machine: no path of this one means anything there. So the session
/// holder is copied into the container instead of being mounted, sessions go through the engine's exec, the agent's
/// home is the container's own, and sources and mounts are paths of the other machine, as they are for everybody who
/// points the engine's own program there; or the sources are copied, if that is asked for.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <kortex/types.hpp>

#include "engine/api.hpp"
#include "engine/plan.hpp"

namespace kortex::engine {

/// An engine on the other end of ssh, proved to answer. See SshConnection for the last two.
[[nodiscard]] std::unique_ptr<Api> connect_by_ssh(const Call& call, const std::string& directory, const std::string& engine,
                                                  const SshAddress& address, const std::string& socket_script, const std::string& enable_hint);

/// Where the sources are.
struct RemoteSources {
  std::string path;     ///< on the other machine; empty: copied
  std::uint32_t uid = 0, gid = 0;
};

/// Throws, before anything is made, what cannot be had: paths that are not there, options without a remote engine.
[[nodiscard]] RemoteSources remote_sources(Api& api, const Workspace& workspace);
void refuse_remote_options(const Workspace& workspace);

/// plan() for another machine. Optional mounts that are not there are left out.
[[nodiscard]] Container remote_plan(Api& api, const Ref& ref, const Workspace& workspace, const Places& places, const Identity& identity,
                                    const std::string& image, const std::string& plugin_version);

/// Into a container that has been created: the holder, its directory, the home and, if they are copied, the sources.
void fill_container(const Call& call, Api& api, const Ref& ref, const std::string& id, const Container& container, const Workspace& workspace,
                    const std::string& session_program);

/// Lines of Guarantees::exposure.
[[nodiscard]] std::vector<std::string> remote_exposure(Api& api, const Workspace& workspace);

}  // namespace kortex::engine
