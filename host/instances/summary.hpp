/// What a list shows of a workspace, and what asking for its state takes: little, since there may be ten thousand.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "instances/record.hpp"
#include "instances/text_pool.hpp"

namespace kortex::host {

/// The texts belong to somebody else, and each is followed by a NUL. Those of an unreadable record, but id, name and
/// problem, are empty.
struct Summary {
  std::string_view id;
  std::string_view name;  ///< of the record; of names/ when the record is unreadable; may be empty
  bool readable = false;
  std::string_view problem;  ///< why it is not: "<file>:<line>:<column>: <reason>"
  std::string_view project, agent, model, runtime, source, configuration;
  std::string_view isolation;  ///< the level as the record has it
  std::string_view key = "", instance_id = "";  // never null: runtimes are given their beginnings
  std::string_view state_dir = "";  ///< the runtime's, for this instance
  KeyValues global_options;
  Phase phase = Phase::none;
  std::int64_t created_ms = 0, started_ms = 0;
  std::vector<Forward> forwards;
};

/// Of an entry that outlives it. Without state_dir.
[[nodiscard]] Summary summary_of(const Entry&);

/// Reads the members that are shown, and skips the others, without making a document of them. Texts that are as in
/// `last`, which is of the same pool, are kept once. False: the record is broken, or has something rare that only
/// parse_record() reads.
[[nodiscard]] bool read_summary(std::string_view text, std::string_view id, const Summary& last, Summary&, TextPool&);

}  // namespace kortex::host
