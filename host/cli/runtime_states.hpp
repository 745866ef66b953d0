/// The installed runtimes and whether each can be used now.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cli/invocation.hpp"

namespace kortex::host {

struct RuntimeState {
  PluginFile file;
  std::optional<ProbeResult> probe;  ///< of those that a workspace could use

  [[nodiscard]] bool usable() const { return probe && probe->usable; }
  /// "usable", "not usable: <reason>", "refused: <reason>", "shadowed"
  [[nodiscard]] std::string text() const;
  [[nodiscard]] std::string hint() const;
};

/// Everything on the search path, in name order; asked all at once.
[[nodiscard]] std::vector<RuntimeState> probe_runtimes(Invocation&);

/// Why `init` goes no further, with what there is to choose from and what to type.
[[nodiscard]] Error no_runtime_named(Invocation&, const std::string& sources);

/// The same where the one that is named is not there. Nullopt: there is a file of that name.
[[nodiscard]] std::optional<Error> no_such_runtime(Invocation&, const std::string& name, const std::string& sources);

}  // namespace kortex::host
