/// A workspace as the published JSON contract has it, and as `show` tells it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/output/json.hpp"
#include "cli/output/stream.hpp"
#include "instances/manager.hpp"

namespace kortex::host {

/// One of stopped, running, error, unknown: the states that clients of the published contract know.
[[nodiscard]] std::string_view published_state(State);

/// Where the state is in a workspace's text: what differs when only that does.
struct RowPlaces {
  std::size_t state = 0, after_state = 0;
};
/// The published `Workspace`, as a value.
RowPlaces add_workspace(JsonText&, const Summary&, const Observed&);

/// The published list of workspaces: its text is made while the runtimes are asked, and completed with what they said.
class PreparedWorkspaces {
 public:
  explicit PreparedWorkspaces(const Listing&);
  /// Of the same listing.
  void write(Stream&, const Workspaces&) const;

 private:
  struct Row {
    std::size_t begin;
    RowPlaces places;
  };
  static bool holds(const Summary&, const Observed&);

  std::string m_text;
  std::vector<Row> m_rows;
  std::size_t m_end = 0;  ///< of the last row
};

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
