/// Fail closed: what a workspace asks for is compared with what its runtime says it enforces.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtimes/runtime.hpp"

namespace kortex::host {

/// Throws Error(usage) for an unknown key (with the nearest as hint) or value of --require.
void check_requirements(const KeyValues& require);

/// A runtime that could deny the network is of no use to who demands it while the configuration lets everything through: throws
/// Error(refused) when --require network contradicts the configuration (`file` is named in the hint).
void check_required_network(const WorkspaceSpec&, const KeyValues& require, const std::string& file);

/// What is asked for and not enforced, in words; empty: nothing. `network_stated`: the configuration has a `network`; where it
/// has none, `allow` is what happens to be and not a wish.
[[nodiscard]] std::vector<std::string> uncovered(const WorkspaceSpec&, bool network_stated, const KeyValues& require, const Guarantees&);

/// Whether the runtime can give the instance this mount.
[[nodiscard]] bool can_mount(const Mount&, const Guarantees&);

}  // namespace kortex::host
