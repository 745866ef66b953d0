/// What several commands say alike.
#pragma once

#include <string>

#include "cli/invocation.hpp"

namespace kortex::host {

/// The workspace that was changed: its id as JSON, or its name (its id where it has none).
void answer_with(Invocation&, const std::string& id, const std::string& name);

/// On stderr, where a workspace is without any isolation. `what` is what comes of it: "the agent has", "the program has".
void warn_if_not_isolated(Invocation&, const Record&, const std::string& what);

}  // namespace kortex::host
