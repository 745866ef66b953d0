/// A workspace's record: what is remembered of it on disk. Memory, not truth: live state comes from the
/// runtime.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtimes/runtime.hpp"

namespace kortex::host {

/// What somebody is doing, or was doing when they died, to the workspace.
enum class Phase { none, creating, starting, stopping, removing };
[[nodiscard]] std::string_view to_string(Phase);
/// Other versions may know more phases: none for what is unknown here, which is the runtime's to answer.
[[nodiscard]] Phase phase_from_string(std::string_view);

struct Record {
  static constexpr int schema = 1;

  std::string id;       ///< 64 hex digits
  std::string name;
  std::string other_name;   ///< reserved beside `name` while a rename is under way; else empty
  std::string key;      ///< the label for the runtime
  std::string project;  ///< empty: none
  std::string model;    ///< empty: none
  std::string runtime;  ///< its name; agent, paths, options and the rest are in `spec`
  std::string runtime_version;
  int abi_major = 1, abi_minor = 0;
  std::string instance_id;  ///< what create() returned
  WorkspaceSpec spec;
  Guarantees guarantees;    ///< as assessed at init
  KeyValues require;        ///< --require
  State state = State::stopped;  ///< as last stored
  Phase phase = Phase::none;
  std::string last_error;   ///< of the last failed operation; empty: none
  int exit_code = -1;       ///< the agent's last, -1: unknown
  std::vector<Forward> forwards;
  std::string info_json;    ///< what the runtime asked to store (details_json), or empty
  std::int64_t created_ms = 0, started_ms = 0, stopped_ms = 0;  ///< Unix time in ms; 0: never
};

/// A workspace on disk, readable or not.
struct Entry {
  std::string id;
  std::string name;              ///< of the record; of names/ when the record is unreadable; may be empty
  std::optional<Record> record;
  std::string problem;           ///< why there is no record: "<file>:<line>:<column>: <reason>"
};

/// One JSON document, pretty-printed, ending in a newline.
[[nodiscard]] std::string serialize(const Record&);

/// Throws Error(failed): "<file>:<line>:<column>: <reason>", or that a newer kortex-cli wrote it (schema).
/// Members it does not know are ignored, absent ones take their defaults (but id, name, key, runtime and paths).
[[nodiscard]] Record parse_record(std::string_view text, const std::string& file);

}  // namespace kortex::host
