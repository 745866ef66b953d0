/// What the runtimes say of workspaces, asked at this moment: each runtime once, whatever it has, all at the same time.
#pragma once

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "instances/manager_context.hpp"
#include "instances/store.hpp"
#include "instances/summary.hpp"
#include "runtimes/inquiry.hpp"
#include "runtimes/registry.hpp"

namespace kortex::host {

/// What its runtime says of a workspace.
struct Observed {
  State state = State::unknown;  ///< asked of the runtime just now
  Instance instance;             ///< what it said; empty when it could not be asked
  std::string problem;           ///< why the state is unknown or what is wrong; empty: nothing
  std::string hint;
};

/// Something of it is alive.
[[nodiscard]] bool is_up(State);

class Observation {
 public:
  Observation(const Store&, const Registry&, const ManagerContext&, std::chrono::milliseconds timeout);

  /// Its runtime gets ready to answer, since observe() will ask it about this one.
  void expect(const Summary&);
  /// In the same order. `meanwhile` is called while the runtimes work on their answers. Once.
  [[nodiscard]] std::vector<Observed> observe(const std::vector<const Summary*>&, const std::function<void()>& meanwhile = {});

 private:
  /// One question to a runtime: of all workspaces that have the same global options.
  struct Question {
    KeyValues global_options;
    std::size_t place;  ///< in the inquiry
    std::vector<kortex_ref> refs;
    std::vector<std::size_t> whom;  ///< the workspaces' indexes
  };
  /// Looked for once.
  struct Asked {
    std::string runtime;
    std::optional<PluginFile> file;
    std::string problem, hint;
    std::vector<Question> questions;
  };
  Asked& asked(const Summary&);
  Question& question(Asked&, const Summary&);

  const Store& m_store;
  const Registry& m_registry;
  const ManagerContext& m_context;
  Inquiry m_inquiry;
  std::vector<Asked> m_asked;  // few: looking through them is faster than any map
};

}  // namespace kortex::host
