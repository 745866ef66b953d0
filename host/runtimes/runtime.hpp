/// A runtime as the rest of the host sees it: one typed function per operation. No plugin code ever runs
/// in the calling process. Each operation forks a child that checks, loads (Boost.DLL) and opens the
/// plugin, performs the operation and reports over a pipe. So a crash, exit() or endless loop in a plugin
/// becomes an Error that names the runtime, its version and the operation; a plugin's writes to
/// stdout never reach ours; and the child notices when the caller dies (it sees a cancelled call, then is
/// killed).
///
/// Threads: functions fork, so call them while no other thread runs. Inquiry (inquiry.hpp) is for
/// several runtimes at once, with one child each.
#pragma once

#include <kortex/runtime.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtimes/registry.hpp"
#include "runtimes/workspace_spec.hpp"
#include "system/error.hpp"

namespace kortex::host {

enum class State { unknown, created, starting, running, paused, stopping, stopped, failed, gone };
[[nodiscard]] std::string_view to_string(State);
[[nodiscard]] std::optional<State> state_from_string(std::string_view);

struct InstanceRef {
  std::string key, id, name, state_dir;  ///< id: empty before create
};

struct Forward {
  std::uint16_t target = 0;
  std::string bind;
  std::uint16_t port = 0;
  bool operator==(const Forward&) const = default;
};

/// One instance as its backend sees it. Texts come from a plugin: valid UTF-8 is ensured, control
/// characters are replaced, lengths are bounded.
struct Instance {
  State state = State::unknown;
  std::string key, id, name, status;
  std::string store;  ///< its store_label; empty: it has none
  std::int64_t pid = 0;
  std::int64_t created_ms = 0, started_ms = 0, finished_ms = 0;
  int exit_code = -1;
  std::vector<Forward> forwards;
  std::string details_json;  ///< a JSON object, or empty; syntax and size are checked
};

enum class Isolation : int { none = 0, process = 10, container = 20, microvm = 30 };
[[nodiscard]] std::string_view to_string(Isolation);

struct Guarantees {
  Isolation isolation = Isolation::none;
  std::uint64_t enforces = 0;         ///< KORTEX_GUARANTEE_*
  std::vector<std::string> exposure;  ///< what of the host the agent can reach, in plain words
};

struct Option {
  enum class Type { string, boolean, integer, size, duration, enumeration, path };
  std::string name, help;
  Type type = Type::string;
  bool required = false, repeatable = false, secret = false, deprecated = false, global = false;
  std::optional<std::string> default_value;
  std::vector<std::string> choices;
  std::int64_t min_value = 0, max_value = 0;
};

/// The plugin's table, as data.
struct Description {
  std::string name, version, summary, vendor, homepage, license;
  std::uint64_t capabilities = 0;
  std::vector<Option> options;
  bool lists = false, execs = false, terminals = false, logs = false, waits = false;
};

/// Checks `given` (--runtime-option, in order) against what the runtime takes; fills in defaults; turns
/// sizes, durations, booleans and paths into what the ABI wants (`cwd` makes relative paths absolute);
/// `@file` values of SECRET options are read. Throws Error(usage) naming the option, with the nearest name or
/// the choices as the hint.
struct CompletedOptions {
  KeyValues instance, global;
  KeyValues secret;  ///< SECRET ones: given to create() only, never stored
};
[[nodiscard]] CompletedOptions complete_options(const Description&, const KeyValues& given, const std::string& cwd);

/// Something to tell a person while an operation works. Called in the calling process.
struct Progress {
  std::string phase, message;
  std::int64_t done = 0, total = -1;
};

struct ProbeResult {
  bool usable = false;
  std::string reason, hint;  ///< why not, and what to do
  std::string details_json;  ///< what probe() reported, or empty
};

struct ExecRequest {
  std::vector<std::string> argv;  ///< empty: attach to the agent's session (terminal only)
  std::vector<std::string> env;   ///< "K=V"
  std::string cwd, user;          ///< empty: the runtime's own choice
  bool tty = false;
  std::string detach_keys;        ///< bytes; attach only
  std::uint16_t rows = 0, cols = 0;
};

struct ExecEnd {
  enum class How { exited, detached, stopped };
  How how = How::exited;
  int code = 0;  ///< 0..255 or 128+signal; wait(): -1 where it is not known
};

struct StopRequest {
  bool kill = false;
  std::optional<std::chrono::milliseconds> grace;
};

/// What every operation needs from its surroundings.
struct RuntimeContext {
  std::string state_dir, cache_dir, runtime_dir;  ///< the plugin's across instances; made when missing
  std::string session_program;                    ///< empty: not installed
  bool interactive = false, verbose = false;
  std::function<void(const Progress&)> progress;              ///< may be empty
  std::function<void(int level, const std::string&)> log;     ///< kortex_log_level; may be empty
  /// Called whenever there is nothing to do but wait; true: again in a fifth of a second. May be empty.
  std::function<bool()> idle;
};

class Runtime {
 public:
  /// `file` must be loadable.
  Runtime(PluginFile file, RuntimeContext context);

  [[nodiscard]] const PluginFile& file() const { return m_file; }
  [[nodiscard]] const RuntimeContext& context() const { return m_context; }

  // Every function: throws Error. What a plugin said with fail() becomes message, hint and detail; its code
  // becomes the kind (UNAVAILABLE → no_runtime, STATE → wrong_state, TIMEOUT/BUSY → busy, INVALID/
  // UNSUPPORTED/PERMISSION → refused, CANCELLED → cancelled, else failed). NOT_FOUND stays recognizable:
  // see NotFound below. `timeout`: after it the call is cancelled, and two seconds later killed; zero: none.
  // While one works, SIGINT/SIGTERM/SIGHUP of this process cancel it, the second SIGINT kills it at once.
  using Timeout = std::chrono::milliseconds;

  [[nodiscard]] Description describe(Timeout) const;
  [[nodiscard]] ProbeResult probe(const KeyValues& global_options, Timeout) const;  ///< does not throw for "unusable"
  /// Description, completed options and guarantees in one child: what `init` needs before it registers.
  struct Assessment {
    Description description;
    CompletedOptions options;
    Guarantees guarantees;
  };
  [[nodiscard]] Assessment assess(const WorkspaceSpec& spec_without_options, const KeyValues& given_options,
                                  const std::string& cwd, Timeout) const;
  [[nodiscard]] Guarantees guarantees(const WorkspaceSpec&, Timeout) const;
  [[nodiscard]] Instance create(const InstanceRef&, const WorkspaceSpec&, const KeyValues& secret_options, Timeout) const;
  /// assess(), create() of what is made of that and, if asked for, start() of it, in one child: most of what a short start
  /// costs is the child.
  struct Founding {
    /// What is to be created. Called here and in the child, so that it may depend on nothing but the assessment.
    std::function<WorkspaceSpec(const Assessment&)> settle;
    /// Here, before create(): registers it. What it throws is thrown, and nothing is created. The lock: what the child, too,
    /// keeps locked until it has ended.
    struct Enlisted {
      InstanceRef ref;
      int lock = -1;
      std::string store;  ///< what store_label is to say
    };
    std::function<Enlisted(const Assessment&)> enlist;
    /// Here, while the runtime creates and starts, if that takes longer than a tenth of a second; what it throws ends that, and
    /// is thrown.
    std::function<void()> meanwhile;
    bool start = false;
    std::vector<std::string> env;  ///< of the agent
    Timeout assess_timeout{}, create_timeout{}, start_timeout{};
  };
  struct Founded {
    Instance created;
    Instance started;              ///< empty when not asked for, or when `failure` is set
    std::optional<Error> failure;  ///< of start(); create() itself throws
  };
  [[nodiscard]] Founded found(const WorkspaceSpec& spec_without_options, const KeyValues& given_options, const std::string& cwd,
                              const Founding&) const;
  [[nodiscard]] Instance start(const InstanceRef&, const WorkspaceSpec&, const std::vector<std::string>& env, Timeout) const;
  [[nodiscard]] Instance stop(const InstanceRef&, const WorkspaceSpec&, const StopRequest&, Timeout) const;
  void remove(const InstanceRef&, const WorkspaceSpec&, bool force, Timeout) const;
  [[nodiscard]] Instance inspect(const InstanceRef&, const WorkspaceSpec&, Timeout) const;
  /// The child has our stdin, stdout and stderr; a tty is in raw mode already (cli/terminal does that).
  [[nodiscard]] ExecEnd exec(const InstanceRef&, const WorkspaceSpec&, const ExecRequest&) const;
  [[nodiscard]] ExecEnd terminal(const InstanceRef&, const WorkspaceSpec&, const ExecRequest&) const;
  void logs(const InstanceRef&, const WorkspaceSpec&, std::int64_t tail, bool follow,
            const std::function<void(int stream, std::string_view)>& output) const;
  [[nodiscard]] ExecEnd wait(const InstanceRef&, const WorkspaceSpec&, Timeout) const;

 private:
  PluginFile m_file;
  RuntimeContext m_context;
};

/// KORTEX_E_NOT_FOUND.
class NotFound : public Error {
 public:
  using Error::Error;
};

/// What a runtime has of its own accord, recorded or not.
struct ListQuestion {
  const Runtime* runtime;
  KeyValues global_options;
};
struct ListAnswer {
  std::vector<Instance> instances;  ///< with `error`, what was told before it
  std::optional<Error> error;
};
/// list() of several at once. Never throws for a plugin, but when the user cancels.
[[nodiscard]] std::vector<ListAnswer> list_all(const std::vector<ListQuestion>&, std::chrono::milliseconds timeout);

/// probe() of several at once.
[[nodiscard]] std::vector<ProbeResult> probe_all(const std::vector<Runtime>& runtimes, std::chrono::milliseconds timeout);

}  // namespace kortex::host
