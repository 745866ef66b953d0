/// The instances manager: what may happen to a workspace, in which order, and what is left when it fails
/// or is killed half-way. One function per lifecycle verb; commands parse, call one of these, and print.
///
///   phase      set before        cleared after             found with nobody holding the claim
///   creating   runtime create    its result is stored      start asks the runtime by key, adopts what it has or creates it
///                                                          again, and goes on; remove removes
///   removing   runtime remove    the record is gone        only remove works, and finishes
///
/// Starting and stopping need no such memory, since the runtime's answer is the truth and any verb goes on from there:
/// they are only announced, in the lock, to those who wait and to `show`.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/agents.hpp"
#include "instances/manager_context.hpp"
#include "instances/observation.hpp"
#include "instances/orphans.hpp"
#include "instances/record.hpp"
#include "instances/store.hpp"
#include "runtimes/registry.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// A workspace with its live state.
struct Workspace : Observed {
  Entry entry;
};

/// All of them: what was stored, and what was observed of each, in the same order.
struct Workspaces {
  std::unique_ptr<Observation> observation;  ///< whose children may still be ending
  Listing stored;
  std::vector<Observed> observed;
};

struct InitRequest {
  std::string sources = ".";
  std::string runtime;
  std::optional<std::string> agent;      ///< else the configuration's, else "shell"
  std::optional<std::string> name;
  std::optional<std::string> project;    ///< else from the git remote (credentials removed), else the directory's name
  std::optional<std::string> model;
  std::optional<std::string> configuration_directory;  ///< else <sources>/.kortex
  KeyValues runtime_options;
  KeyValues require;                     ///< isolation=LEVEL, network=deny, read-only-mounts, ports, cpus, memory, …
  bool start = false;
  bool dry_run = false;                  ///< everything up to registering
};

struct InitResult {
  Record record;  ///< of a dry run: id and name are what they would have been, state is stopped
  std::vector<std::string> warnings;
};

class Manager {
 public:
  Manager(Store store, Registry registry, AgentCatalog agents, ManagerContext context);

  InitResult init(const InitRequest&);
  Record start(const std::string& workspace);  ///< of a running one: done
  Record stop(const std::string& workspace, const StopRequest&);
  /// Refuses a running one without `force`. With `force` a missing or failing runtime is no obstacle: returns what may be
  /// left behind, in words (empty: nothing).
  struct Removed {
    std::string id, name;
    std::string left_behind;
  };
  Removed remove(const std::string& workspace, bool force);
  Record rename(const std::string& workspace, const std::string& new_name);
  /// All, or one, with live state. `meanwhile`: called with what was stored while the runtimes are asked; may be empty.
  Workspaces list(const std::function<void(const Listing&)>& meanwhile = {});
  Workspace show(const std::string& workspace);
  /// What this store's workspaces have left in runtimes.
  Orphans orphans();
  /// Ends and removes it, whatever it does.
  void remove(const Orphan&);
  /// `start_first`: a stopped one is started, with a notice. argv empty: the agent's session.
  ExecEnd terminal(const std::string& workspace, ExecRequest, bool start_first);
  ExecEnd exec(const std::string& workspace, ExecRequest, bool start_first);
  void logs(const std::string& workspace, std::int64_t tail, bool follow,
            const std::function<void(int stream, std::string_view)>& output);
  ExecEnd wait(const std::string& workspace);

  [[nodiscard]] const Store& store() const { return m_store; }
  [[nodiscard]] const Registry& registry() const { return m_registry; }
  [[nodiscard]] const AgentCatalog& agents() const { return m_agents; }

 private:
  Runtime runtime_for(const Record&) const;
  Runtime::Timeout timeout(std::chrono::milliseconds standard) const;
  std::vector<std::string> agent_environment(const WorkspaceSpec&) const;
  void warn_of_unset(const WorkspaceSpec&) const;
  /// A claimed workspace and its record, which must be readable.
  std::pair<Claim, Record> claim(const std::string& workspace);
  Claim claim_id(const std::string& id, const std::string& name) const;
  Record readable(const std::string& workspace, const std::string& id) const;
  /// Ends and removes the instance of a workspace whose record cannot be read, by asking every installed runtime for
  /// it. False: none has it.
  bool end_unrecorded(const Claim&, const std::string& name) const;
  void keep_error(const Claim&, Record&, const Error&) const;
  void start_claimed(const Claim&, Record&);
  void take_started(const Claim&, Record&, const Runtime&, const Instance&) const;  ///< stores what start() said
  void create_again(const Claim&, Record&, const Runtime&) const;
  [[noreturn]] void undo_init(Claim, const Record&, const Runtime&, const Error&) const;
  Record running(const std::string& workspace, bool start_first);

  Store m_store;
  Registry m_registry;
  AgentCatalog m_agents;
  ManagerContext m_context;
};

}  // namespace kortex::host
