// How a workspace comes to be: everything that can be checked is checked first, then the name is taken, and only
// then a runtime works. Whatever fails after that takes itself back.
#include <algorithm>
#include <chrono>
#include <optional>
#include <system_error>
#include <utility>

#include "instances/manager.hpp"
#include "instances/names.hpp"
#include "instances/plan.hpp"
#include "instances/requirements.hpp"
#include "instances/timeouts.hpp"
#include "system/error.hpp"
#include "system/files.hpp"

namespace kortex::host {

namespace {

/// An agent brings mounts that are pleasant and not necessary (its credentials, its program). Where the runtime
/// cannot mount, it goes without.
bool is_mounted(const Mount& mount, const Guarantees& guarantees) { return !mount.optional || can_mount(mount, guarantees); }

/// What is registered, given what the runtime says.
WorkspaceSpec settled(const Plan& plan, const Runtime::Assessment& assessed) {
  WorkspaceSpec spec = plan.spec;
  spec.options = assessed.options.instance;
  spec.global_options = assessed.options.global;
  spec.mounts.clear();
  for (const Mount& mount : plan.agent_mounts)
    if (is_mounted(mount, assessed.guarantees)) spec.mounts.push_back(mount);
  // The configuration's come last: of two mounts, one inside the other, it has the last word.
  spec.mounts.insert(spec.mounts.end(), plan.spec.mounts.begin(), plan.spec.mounts.end());
  return spec;
}

void warn_of_unmounted(const Plan& plan, const Guarantees& guarantees, std::vector<std::string>& warnings) {
  const auto unseen = [&](const Mount& mount) {
    const bool seen_anyway = guarantees.isolation == Isolation::none && mount.host == mount.target;
    return !is_mounted(mount, guarantees) && !seen_anyway;
  };
  if (std::any_of(plan.agent_mounts.begin(), plan.agent_mounts.end(), unseen))
    warnings.push_back("the runtime cannot mount what agent '" + plan.spec.agent_name + "' would like to have: its settings and credentials on this machine are not visible in the instance");
}

/// What is wrong with an option of the configuration is told with its place there. Whose it is, is found out by giving
/// the runtime's checks just that option: the same complaint is its.
[[noreturn]] void tell_place_of_option(const Error& error, const Plan& plan, const Runtime& runtime, const std::string& cwd, Runtime::Timeout limit) {
  const Configuration& configuration = plan.configuration;
  if (error.kind() != ErrorKind::usage || configuration.runtime_options.empty()) throw error;
  const Description description = runtime.describe(limit);
  for (const auto& [key, value] : configuration.runtime_options) {
    KeyValues alone;
    for (const auto& option : plan.runtime_options)
      if (option.first == key) alone.push_back(option);
    const bool from_here = std::find(alone.begin(), alone.end(), std::pair(key, value)) != alone.end();
    try {
      if (from_here) (void)complete_options(description, alone, cwd);
    } catch (const Error& same) {
      if (same.message() != error.message()) continue;
      const bool known = std::any_of(description.options.begin(), description.options.end(), [&name = key](const Option& o) { return o.name == name; });
      throw Error(ErrorKind::refused, configuration.place({"runtime_options", key}, known ? JsonPlace::value : JsonPlace::key) + ": " + error.message(),
                  error.hint(), error.detail());
    }
  }
  throw error;
}

void refuse_uncovered(const std::vector<std::string>& missing, const std::string& runtime) {
  if (missing.empty()) return;
  std::string list;
  for (std::size_t i = 0; i < missing.size(); ++i) list += (i == 0 ? "" : "; ") + missing[i];
  throw Error(ErrorKind::refused, "runtime '" + runtime + "' does not enforce what is asked for: " + list,
              "kortex-cli runtime info " + typeable(runtime));
}

}  // namespace

void Manager::undo_init(Claim claim, const Record& record, const Runtime& runtime, const Error& error) const {
  std::string left;
  try {
    runtime.remove({record.key, record.instance_id, record.name, claim.runtime_directory().string()}, record.spec, true,
                   timeout(timeouts::remove));
  } catch (const NotFound&) {
    // Nothing had been made.
  } catch (const Error& second) {
    left = "an instance '" + record.key + "' may be left behind: " + second.message();
  }
  std::optional<std::filesystem::path> log;
  if (!error.detail().empty() || !left.empty()) {
    try {
      log = m_store.keep_init_log(claim, record.name + ": " + error.message() + "\n" + left + (left.empty() ? "" : "\n") + "\n" + error.detail() + "\n");
    } catch (const Error&) {
      // The error itself is still told.
    }
  }
  m_store.remove(std::move(claim));
  if (!left.empty() && m_context.warning) m_context.warning(left);
  const std::string hint = error.hint().empty() && log ? "cat " + typeable(log->string()) : error.hint();
  throw Error(error.kind(), error.message(), hint, error.detail());
}

InitResult Manager::init(const InitRequest& request) {
  check_requirements(request.require);
  if (request.runtime.empty()) throw Error(ErrorKind::usage, "no runtime is named", "kortex-cli runtime list");
  if (request.name)
    if (const std::string reason = check_name(*request.name); !reason.empty())
      throw Error(ErrorKind::refused, "cannot name a workspace '" + *request.name + "': " + reason);
  const PluginFile file = m_registry.find(request.runtime);
  Plan plan = make_plan(request, m_context, m_agents);
  check_required_network(plan.spec, request.require, plan.spec.config_path + "/workspace.json");

  InitResult result;
  Record& record = result.record;
  record.name = request.name.value_or(name_from_path(plan.spec.source_path));
  // Taken names are told before a runtime is asked anything; add() decides.
  const std::string available = m_store.available_name(record.name, request.name);
  record.project = plan.spec.project;
  record.model = request.model.value_or("");
  record.runtime = request.runtime;
  record.require = request.require;
  if (file.descriptor) {
    record.abi_major = file.descriptor->abi_major;
    record.abi_minor = file.descriptor->abi_minor;
  }
  result.warnings = plan.warnings;
  const Runtime runtime(file, m_context.runtime_context(request.runtime));
  bool assessed = false;
  const auto take = [&](const Runtime::Assessment& assessment) {
    assessed = true;
    record.spec = settled(plan, assessment);
    warn_of_unmounted(plan, assessment.guarantees, result.warnings);
    refuse_uncovered(uncovered(record.spec, plan.network_stated, request.require, assessment.guarantees), request.runtime);
    record.runtime_version = assessment.description.version;
    record.guarantees = assessment.guarantees;
    record.created_ms = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  };
  if (request.dry_run) {
    try {
      take(runtime.assess(plan.spec, plan.runtime_options, m_context.cwd, timeout(timeouts::assess)));
    } catch (const Error& error) {
      if (assessed) throw;
      tell_place_of_option(error, plan, runtime, m_context.cwd, timeout(timeouts::assess));
    }
    record.name = available;
    record.id = random_id();
    record.key = key_for(record.name, record.id);
    return result;
  }

  std::optional<Claim> claim;
  // The disk is slower than a short start, and files that a runtime makes wait for it: it is only waited for while a
  // runtime takes its time, or at the end.
  bool durable = false;
  Runtime::Founding founding;
  founding.settle = [&plan](const Runtime::Assessment& assessment) { return settled(plan, assessment); };
  founding.enlist = [&](const Runtime::Assessment& assessment) {
    take(assessment);
    record.phase = Phase::creating;
    claim = m_store.add(record, request.name);
    return Runtime::Founding::Enlisted{{record.key, {}, record.name, claim->runtime_directory().string()}, claim->lock_descriptor(),
                                      m_store.mark(record.runtime)};
  };
  founding.meanwhile = [&] {
    if (!std::exchange(durable, true)) m_store.make_durable(*claim);
  };
  founding.start = request.start;
  // Killed between create and start, the workspace is one whose init was killed: its instance is found by key.
  if (request.start) founding.env = agent_environment(plan.spec);
  founding.assess_timeout = timeout(timeouts::assess);
  founding.create_timeout = timeout(timeouts::create);
  founding.start_timeout = timeout(timeouts::start);
  Runtime::Founded made;
  try {
    made = runtime.found(plan.spec, plan.runtime_options, m_context.cwd, founding);
    record.instance_id = made.created.id;
    record.state = State::stopped;
    record.info_json = made.created.details_json;
    record.forwards = made.created.forwards;
    record.phase = Phase::none;
    if (!request.start) {
      m_store.write(*claim, record, durable ? Durability::now : Durability::none);
      founding.meanwhile();
    }
  } catch (const Error& error) {
    if (claim) undo_init(std::move(*claim), record, runtime, error);
    if (assessed) throw;
    tell_place_of_option(error, plan, runtime, m_context.cwd, timeout(timeouts::assess));
  }
  if (!request.start) return result;
  try {
    if (made.failure) throw Error(*made.failure);
    take_started(*claim, record, runtime, made.started);
    founding.meanwhile();
  } catch (const Error& error) {
    keep_error(*claim, record, error);
    throw;
  }
  return result;
}

}  // namespace kortex::host
