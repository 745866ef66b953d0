#include "instances/manager.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "instances/mount_rules.hpp"
#include "instances/names.hpp"
#include "instances/sources.hpp"
#include "instances/timeouts.hpp"
#include "system/error.hpp"
#include "system/files.hpp"

namespace kortex::host {

namespace {

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

InstanceRef ref_of(const Record& record, const Claim& claim) {
  return {record.key, record.instance_id, record.name, claim.runtime_directory().string()};
}

/// Takes over what a runtime said about its instance.
void take_over(Record& record, const Instance& instance) {
  if (!instance.id.empty()) record.instance_id = instance.id;
  record.state = instance.state;
  record.forwards = instance.forwards;
  record.exit_code = instance.exit_code;
  if (!instance.details_json.empty()) record.info_json = instance.details_json;
}

std::string unregister_hint(const std::string& name) { return "kortex-cli remove --force " + typeable(name); }

/// A workspace's directory that its owner has shut.
bool is_shut(const std::filesystem::path& directory) {
  return ::access(directory.c_str(), F_OK) == 0 && ::access(directory.c_str(), R_OK | W_OK | X_OK) != 0 && errno == EACCES;
}

Error with_hint(const Error& error, const std::string& hint) { return Error(error.kind(), error.message(), hint, error.detail()); }

}  // namespace

std::string way_out(const std::string& problem, const std::string& name) {
  if (problem.find("written by a newer kortex-cli") != std::string::npos) return "update kortex-cli";
  return unregister_hint(name);
}

Manager::Manager(Store store, Registry registry, AgentCatalog agents, ManagerContext context)
    : m_store(std::move(store)), m_registry(std::move(registry)), m_agents(std::move(agents)), m_context(std::move(context)) {}

Runtime::Timeout Manager::timeout(std::chrono::milliseconds standard) const {
  return m_context.timeout.count() > 0 ? m_context.timeout : standard;
}

Runtime Manager::runtime_for(const Record& record) const {
  return Runtime(m_registry.find(record.runtime), m_context.runtime_context(record.runtime));
}

std::vector<std::string> Manager::agent_environment(const WorkspaceSpec& spec) const {
  std::vector<std::string> environment;
  for (const auto& [name, value] : spec.env) environment.push_back(name + "=" + value);
  for (const auto& name : spec.env_passthrough)
    if (const auto value = m_context.getenv(name)) environment.push_back(name + "=" + *value);
  return environment;
}

/// What the configuration passes on by name and is not set. An agent's own list is of what it can make use of, not of
/// what it needs.
void Manager::warn_of_unset(const WorkspaceSpec& spec) const {
  std::vector<std::string> unset;
  for (const auto& name : spec.env_passthrough)
    if (!m_context.getenv(name)) unset.push_back(name);
  if (unset.empty() || !m_context.warning) return;
  std::vector<EnvironmentVariable> pleasant;
  try {
    pleasant = m_agents.find(spec.agent_name).environment;
  } catch (const Error&) {
    // The agent's file is gone; its workspace goes on without.
  }
  for (const auto& name : unset) {
    const bool wanted = std::none_of(pleasant.begin(), pleasant.end(), [&](const EnvironmentVariable& own) { return own.name == name && !own.value; });
    if (wanted) m_context.warning("'" + name + "' is to be passed on to the agent, but is not set: the agent goes without");
  }
}

Record Manager::readable(const std::string& workspace, const std::string& id) const {
  const Entry entry = m_store.read(id);
  if (!entry.record) throw Error(ErrorKind::failed, entry.problem, way_out(entry.problem, entry.name.empty() ? workspace : entry.name));
  return *entry.record;
}

Claim Manager::claim_id(const std::string& id, const std::string& name) const {
  const std::filesystem::path directory = m_store.instance_directory(id).parent_path();
  if (is_shut(directory))
    throw Error(ErrorKind::refused, "cannot lock workspace '" + name + "': '" + directory.string() + "' is not open to you",
                "chmod u+rwx " + typeable(directory.string()));
  const int limit = m_context.timeout.count() > 0 ? static_cast<int>(std::min<std::int64_t>(m_context.timeout.count(), 1 << 30)) : -1;
  return m_store.claim(id, limit, [&] {
    if (!m_context.notice) return;
    const Phase phase = m_store.announced(id);
    m_context.notice("waiting for another kortex-cli, which is " +
                     (phase == Phase::none ? "working on" : std::string(to_string(phase))) + " '" + name + "'");
  });
}

std::pair<Claim, Record> Manager::claim(const std::string& workspace) {
  const std::string id = m_store.resolve(workspace);
  Claim claim = claim_id(id, workspace);
  Record record = readable(workspace, id);
  if (record.phase == Phase::removing)
    throw Error(ErrorKind::wrong_state, "workspace '" + record.name + "' is half removed: its removal was interrupted",
                "kortex-cli remove " + typeable(record.name));
  return {std::move(claim), std::move(record)};
}

void Manager::keep_error(const Claim& claim, Record& record, const Error& error) const {
  try {
    record.phase = Phase::none;
    record.last_error = error.message();
    m_store.write(claim, record);
    m_store.write_log(claim, error.message() + "\n" + (error.detail().empty() ? "" : "\n" + error.detail() + "\n"));
  } catch (const Error&) {
    // The first error is the one to tell.
  }
}

void Manager::create_again(const Claim& claim, Record& record, const Runtime& runtime) const {
  record.phase = Phase::creating;
  m_store.write(claim, record);
  record.instance_id.clear();
  take_over(record, runtime.create(ref_of(record, claim), record.spec, {}, timeout(timeouts::create)));
}

void Manager::take_started(const Claim& claim, Record& record, const Runtime& runtime, const Instance& instance) const {
  take_over(record, instance);
  if (instance.started_ms == 0 || instance.started_ms != record.started_ms) warn_of_unset(record.spec);  // else it ran already
  record.started_ms = instance.started_ms > 0 ? instance.started_ms : now_ms();
  record.runtime_version = runtime.file().descriptor ? runtime.file().descriptor->version : record.runtime_version;
  record.phase = Phase::none;
  record.last_error.clear();
  m_store.write(claim, record);
}

void Manager::start_claimed(const Claim& claim, Record& record) {
  if (are_gone(record.spec.source_path))
    throw Error(ErrorKind::failed, "cannot start workspace '" + record.name + "': its sources '" + record.spec.source_path + "' are gone",
                "kortex-cli remove " + typeable(record.name));
  if (const auto escape = escape_of(record.spec)) throw Error(ErrorKind::refused, "cannot start workspace '" + record.name + "': " + *escape);
  record.spec.labels = {{store_label, m_store.mark(record.runtime)}};
  make_private_directories(claim.runtime_directory());  // somebody may have tidied it away
  const Runtime runtime = runtime_for(record);
  const auto start = [&] {
    claim.announce(Phase::starting);
    return runtime.start(ref_of(record, claim), record.spec, agent_environment(record.spec), timeout(timeouts::start));
  };
  try {
    if (record.phase == Phase::creating) {
      // A killed init. What it made is found by key: create() hands back what exists, but options that are not stored
      // (secrets) would be missing from a new one, so the old one is looked for first.
      const Instance found = runtime.inspect(ref_of(record, claim), record.spec, timeout(timeouts::inspect));
      if (found.state == State::gone) create_again(claim, record, runtime);
      else take_over(record, found);
    }
    Instance instance;
    try {
      instance = start();
    } catch (const NotFound&) {
      if (m_context.notice) m_context.notice("the instance of '" + record.name + "' is gone: creating it again");
      create_again(claim, record, runtime);
      instance = start();
    }
    take_started(claim, record, runtime, instance);
  } catch (const Error& error) {
    keep_error(claim, record, error);
    throw;
  }
}

Record Manager::start(const std::string& workspace) {
  auto [held, record] = claim(workspace);
  start_claimed(held, record);
  return record;
}

Record Manager::stop(const std::string& workspace, const StopRequest& request) {
  auto [held, record] = claim(workspace);
  const Runtime runtime = runtime_for(record);
  const auto grace = request.kill ? std::chrono::milliseconds(0) : request.grace.value_or(timeouts::grace);
  try {
    held.announce(Phase::stopping);
    try {
      take_over(record, runtime.stop(ref_of(record, held), record.spec, request, timeout(grace + timeouts::stop)));
    } catch (const NotFound&) {
      record.state = State::stopped;  // what is not there does not run
    }
    record.forwards.clear();
    record.stopped_ms = now_ms();
    record.phase = Phase::none;
    record.last_error.clear();
    m_store.write(held, record);
  } catch (const Error& error) {
    keep_error(held, record, error);
    throw;
  }
  return record;
}

bool Manager::end_unrecorded(const Claim& claim, const std::string& name) const {
  InstanceRef ref{key_for(name, claim.id()), {}, name, claim.runtime_directory().string()};
  bool found = false;
  for (const PluginFile& file : m_registry.scan()) {
    if (!file.loadable() || file.shadowed) continue;
    try {
      const Runtime runtime(file, m_context.runtime_context(file.name));
      const Instance instance = runtime.inspect(ref, {}, timeout(timeouts::inspect));
      if (instance.state == State::gone || instance.state == State::unknown) continue;
      ref.id = instance.id;
      runtime.remove(ref, {}, true, timeout(timeouts::remove));
      found = true;
    } catch (const Error& error) {
      if (error.kind() == ErrorKind::cancelled) throw;
      // One that cannot answer has the instance or has not: the caller says that something may be left.
    }
  }
  return found;
}

Manager::Removed Manager::remove(const std::string& workspace, bool force) {
  const std::string id = m_store.resolve(workspace);
  if (const auto directory = m_store.instance_directory(id).parent_path(); force && is_shut(directory))
    ::chmod(directory.c_str(), S_IRWXU);  // where it is not ours the claim says so
  Claim held = claim_id(id, workspace);
  const Entry entry = m_store.read(id);
  Removed removed{id, entry.name, {}};
  const std::string shown = entry.name.empty() ? id.substr(0, 12) : entry.name;
  if (!entry.record) {
    if (!force) throw Error(ErrorKind::failed, entry.problem, way_out(entry.problem, shown));
    if (!end_unrecorded(held, entry.name))
      removed.left_behind = "the record of '" + shown + "' could not be read, and no installed runtime knows its instance: one whose label ends in '" +
                            id.substr(0, 12) + "' may be left behind";
    m_store.remove(std::move(held));
    return removed;
  }
  Record record = *entry.record;
  const auto left = [&](const Error& error) {
    return "an instance '" + record.key + "' may be left behind: " + error.message();
  };
  try {
    const Runtime runtime = runtime_for(record);
    const bool interrupted = record.phase == Phase::removing;  // somebody was allowed to remove it already
    if (!force && !interrupted) {
      const Instance instance = runtime.inspect(ref_of(record, held), record.spec, timeout(timeouts::inspect));
      if (is_up(instance.state))
        throw Error(ErrorKind::wrong_state, "cannot remove workspace '" + shown + "': it is " + std::string(to_string(instance.state)),
                    "kortex-cli stop " + typeable(shown));
    }
    record.phase = Phase::removing;
    m_store.write_if_room(held, record);
    try {
      runtime.remove(ref_of(record, held), record.spec, force || interrupted, timeout(timeouts::remove));
    } catch (const NotFound&) {
      // Gone already: that is what was wanted.
    }
  } catch (const Error& error) {
    if (force && error.kind() != ErrorKind::cancelled) {
      removed.left_behind = left(error);
    } else {
      if (record.phase == Phase::removing) keep_error(held, record, error);
      const bool ours = error.kind() == ErrorKind::wrong_state || error.kind() == ErrorKind::cancelled;
      if (ours || (error.kind() != ErrorKind::no_runtime && !error.hint().empty())) throw;
      throw with_hint(error, unregister_hint(shown));
    }
  }
  m_store.remove(std::move(held));
  return removed;
}

void Manager::remove(const Orphan& orphan) {
  // Its own directory went with its record; the runtime is promised one.
  Claim lent = m_store.lend();
  const Instance& instance = orphan.instance;
  WorkspaceSpec spec;
  spec.global_options = orphan.global_options;
  const auto end = [&] {
    const Runtime runtime(orphan.file, m_context.runtime_context(orphan.file.name));
    try {
      runtime.remove({instance.key, instance.id, instance.name.empty() ? instance.key : instance.name, lent.runtime_directory().string()}, spec, true,
                     timeout(timeouts::remove));
    } catch (const NotFound&) {
      // Gone already: that is what was wanted.
    }
  };
  try {
    end();
  } catch (...) {
    m_store.drop(std::move(lent));
    throw;
  }
  m_store.drop(std::move(lent));
}

Record Manager::rename(const std::string& workspace, const std::string& new_name) {
  auto [held, record] = claim(workspace);
  m_store.rename(held, record, new_name);
  return record;
}

}  // namespace kortex::host
