/// What became of an operation, told from what its child reported and how it ended.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include <kortex/runtime.h>

#include "runtimes/operation.hpp"

namespace kortex::host {

/// What the child reported, as far as it is to be remembered.
struct Report {
  struct Failure {
    std::string message, hint, detail;
  };
  std::string stage = "load";
  std::string work = "load";  ///< the last stage that was not only the end
  bool answered = false;
  std::optional<Failure> failure;
  std::optional<Error> error;
  std::optional<std::string> threw;
  std::optional<kortex_status> status;
  bool garbage = false;
};

/// What the parent saw of the child and did to it.
struct Ending {
  std::optional<int> wait_status;  ///< nullopt: its work counts, and it has not been waited for
  bool killed = false;             ///< by us
  bool interrupted = false;        ///< by the user
  bool timed_out = false;
  std::chrono::milliseconds timeout{0};
  std::string noise;               ///< what the plugin printed, the newest
};

/// Fills in error, not_found and stage.
void conclude(const PluginFile&, const Report&, const Ending&, OperationResult&);

/// Whether a child that had done its work went as it should.
[[nodiscard]] bool ended_properly(int wait_status);

}  // namespace kortex::host
