/// Orphans, as `list --orphans` and `prune` tell them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "instances/orphans.hpp"
#include "system/error.hpp"

namespace kortex::host {

/// What came of removing each; empty: nobody tried.
using Removals = std::vector<std::optional<Error>>;

[[nodiscard]] std::string orphans_as_table(const std::vector<Orphan>&, std::int64_t now_ms, bool colours);

/// Ours, `"schema": 1`: {"schema", "orphans": [{"key", "id", "runtime", "state", "created"}], "problems": []}. With `removals` each orphan has
/// "removed" and, where that failed, "error".
[[nodiscard]] std::string orphans_as_json(const Orphans&, const Removals* removals);

}  // namespace kortex::host
