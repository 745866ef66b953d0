/// What an init would register, worked out without changing anything: sources, configuration and agent, merged.
#pragma once

#include <string>
#include <vector>

#include "config/configuration.hpp"
#include "instances/manager.hpp"

namespace kortex::host {

struct Plan {
  WorkspaceSpec spec;        ///< options still missing: the runtime completes them
  KeyValues runtime_options; ///< the configuration's, then --runtime-option
  bool network_stated = false;
  /// Whose complaint about `runtime_options` is the configuration's is found out only when there is one.
  Configuration configuration;
  std::vector<Mount> agent_mounts;  ///< those of the agent that the configuration did not replace
  std::vector<std::string> warnings;
};

/// Throws Error: no such sources, bad configuration, no such agent, a mount whose host path is missing.
[[nodiscard]] Plan make_plan(const InitRequest&, const ManagerContext&, const AgentCatalog&);

}  // namespace kortex::host
