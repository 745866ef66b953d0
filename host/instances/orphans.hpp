/// Instances that this store's workspaces had and no record owns any more: a record was deleted by hand, or given up with
/// `remove --force` while its runtime could not be asked.
///
/// Runtimes tell what they have with list(). An instance is an orphan of ours when it carries our store's mark (store_mark.hpp)
/// and neither before nor after the runtimes were asked there was a workspace with its key. Before: one that is just being
/// removed is no orphan. After: one that is just being created is none, since its record was there first.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "instances/manager_context.hpp"
#include "instances/store.hpp"
#include "runtimes/registry.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

struct Orphan {
  PluginFile file;           ///< of its runtime
  KeyValues global_options;  ///< with which the runtime told of it
  Instance instance;
};

struct Orphans {
  std::vector<Orphan> found;          ///< by runtime, then age
  std::vector<std::string> problems;  ///< what could not be found out, in words
};

/// Asks every runtime that is installed, all at the same time, each on every engine that some workspace uses.
[[nodiscard]] Orphans find_orphans(const Store&, const Registry&, const ManagerContext&, std::chrono::milliseconds timeout);

}  // namespace kortex::host
