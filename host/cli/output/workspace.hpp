/// A workspace as the published JSON contract has it, and as `show` tells it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output/json.hpp"
#include "instances/manager.hpp"

namespace kortex::host {

/// One of stopped, running, error, unknown: the states that clients of the published contract know.
[[nodiscard]] std::string_view published_state(State);

/// The published `Workspace`, as a value.
void add_workspace(JsonText&, const Summary&, const Observed&);

/// `show -o json`: wider, ours, `"schema": 1`.
[[nodiscard]] std::string shown_as_json(const Workspace&);
/// `show`: labelled lines.
[[nodiscard]] std::string shown_as_text(const Workspace&, std::int64_t now_ms);

/// As it is told: what was only registered, or created and never started, is stopped, whatever its runtime calls that.
[[nodiscard]] State shown_state(State);

/// The state in words, and what is being done to the workspace: "running", "stopped (creating)".
[[nodiscard]] std::string state_text(State, Phase);

/// The KORTEX_GUARANTEE_* bits by the names that --require takes.
[[nodiscard]] std::vector<std::string> guarantee_names(std::uint64_t enforces);

}  // namespace kortex::host
