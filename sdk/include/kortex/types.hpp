/// The values of the contract in C++ types: what operations of a kortex::Runtime receive and return.
/// Header-only, C++17. See <kortex/runtime.h> for what each field means; times are Unix times in ms,
/// sizes bytes. Everything here is the plugin's own copy, except Ref and the members named `raw`, which
/// are borrowed until the operation returns.
#ifndef KORTEX_TYPES_HPP
#define KORTEX_TYPES_HPP

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <kortex/error.hpp>
#include <kortex/runtime.h>

namespace kortex {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

namespace detail {
inline const char* or_empty(const char* text) { return text == nullptr ? "" : text; }

inline std::vector<std::string> strings(const char* const* array) {
  std::vector<std::string> out;
  for (; array != nullptr && *array != nullptr; ++array) out.emplace_back(*array);
  return out;
}
inline KeyValues pairs(const kortex_kv* array, std::size_t count) {
  KeyValues out;
  out.reserve(count);
  for (std::size_t i = 0; i < count; ++i) out.emplace_back(or_empty(array[i].key), or_empty(array[i].value));
  return out;
}
}  // namespace detail

/// One instance, as the host knows it. Borrowed: lives until the operation returns. Never NULL strings.
class Ref {
 public:
  explicit Ref(const kortex_ref* ref) : m_ref(ref) {}
  /// The host's label for it, never reused: put it on whatever the backend makes.
  [[nodiscard]] const char* key() const { return detail::or_empty(m_ref->key); }
  /// What create() returned; "" in create().
  [[nodiscard]] const char* id() const { return detail::or_empty(m_ref->id); }
  [[nodiscard]] const char* name() const { return detail::or_empty(m_ref->name); }
  /// The instance's own directory: exists, mode 0700, removed by the host after remove().
  [[nodiscard]] const char* state_dir() const { return detail::or_empty(m_ref->state_dir); }
  [[nodiscard]] const kortex_ref* raw() const { return m_ref; }

 private:
  const kortex_ref* m_ref;
};

enum class State : kortex_state {
  unknown = KORTEX_STATE_UNKNOWN,
  created = KORTEX_STATE_CREATED,
  starting = KORTEX_STATE_STARTING,
  running = KORTEX_STATE_RUNNING,
  paused = KORTEX_STATE_PAUSED,
  stopping = KORTEX_STATE_STOPPING,
  stopped = KORTEX_STATE_STOPPED,
  failed = KORTEX_STATE_FAILED,
  gone = KORTEX_STATE_GONE,
};

/// A TCP port of the instance that can be reached from the host's machine.
struct Forward {
  std::uint16_t target = 0;  ///< in the instance
  std::uint16_t port = 0;    ///< on the host's machine
  std::string bind = "127.0.0.1";
};

/// One instance, as the backend sees it. Empty strings are not given.
struct Instance {
  State state = State::unknown;
  std::string id;      ///< stable for its life; empty: what create() returned, in create() the key
  std::string status;  ///< one human line
  std::int64_t pid = 0;
  std::int64_t created_ms = 0, started_ms = 0, finished_ms = 0;
  int exit_code = -1;  ///< of the agent; -1: unknown
  std::vector<Forward> forwards;
  KeyValues labels;
  std::string details_json;  ///< a JSON object (see json.hpp) to be stored and shown
  std::string key, name;     ///< empty: the Ref's
};

/// What a user gave with --runtime-option: checked by the host against what the class declares.
class Options {
 public:
  Options() = default;
  explicit Options(KeyValues values) : m_values(std::move(values)) {}

  [[nodiscard]] std::optional<std::string> find(std::string_view name) const {
    for (const auto& [key, value] : m_values)
      if (key == name) return value;
    return std::nullopt;
  }
  [[nodiscard]] std::string get(std::string_view name, std::string fallback = {}) const {
    return find(name).value_or(std::move(fallback));
  }
  /// Of a BOOL; false when not given.
  [[nodiscard]] bool flag(std::string_view name) const { return find(name) == "true"; }
  /// Of an INT or a SIZE (bytes).
  [[nodiscard]] std::optional<std::int64_t> number(std::string_view name) const {
    const std::optional<std::string> text = find(name);
    if (!text) return std::nullopt;
    std::int64_t value = 0;
    const char* end = text->data() + text->size();
    const auto result = std::from_chars(text->data(), end, value);
    if (result.ec != std::errc() || result.ptr != end)
      throw Error(KORTEX_E_INVALID, "option '" + std::string(name) + "' is not a number: '" + *text + "'");
    return value;
  }
  [[nodiscard]] std::optional<std::chrono::milliseconds> duration(std::string_view name) const {
    const std::optional<std::int64_t> value = number(name);
    if (!value) return std::nullopt;
    return std::chrono::milliseconds(*value);
  }
  /// Of a REPEATABLE one, in the order given.
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const {
    std::vector<std::string> out;
    for (const auto& [key, value] : m_values)
      if (key == name) out.push_back(value);
    return out;
  }
  [[nodiscard]] const KeyValues& values() const { return m_values; }

 private:
  KeyValues m_values;
};

/// A --runtime-option that the class takes: declared by `static std::vector<kortex::Option> options()`.
struct Option {
  std::string name;  ///< [a-z][a-z0-9-]*
  std::string help;  ///< one line
  kortex_option_type type = KORTEX_OPT_STRING;
  std::uint32_t flags = 0;  ///< KORTEX_OPT_REQUIRED, _REPEATABLE, _SECRET, _DEPRECATED, _GLOBAL
  std::optional<std::string> default_value = std::nullopt;
  std::vector<std::string> choices = {};  ///< of an ENUM
  std::int64_t min_value = 0, max_value = 0;
};

struct Mount {
  std::string host_path, target;
  bool read_only = false;
  bool optional = false;  ///< skip it when host_path does not exist
};

struct Port {
  std::uint16_t target = 0;
  std::uint16_t host_port = 0;  ///< 0: choose a free one and report it in Instance::forwards
  std::string bind = "127.0.0.1";
};

/// What the configuration asks of the runtime. Empty strings and zeros are not given.
struct Workspace {
  Options options;
  std::string source_path, config_path, target_path;
  std::string project, agent_name;
  std::vector<std::string> agent_argv;
  KeyValues env, labels;
  std::vector<Mount> mounts;
  std::vector<Port> ports;
  bool network_denied = false;             ///< but for allowed_hosts
  std::vector<std::string> allowed_hosts;
  std::int64_t cpus_milli = 0, memory_bytes = 0, processes = 0;
  std::string image, build_context, build_file;
  std::int64_t uid = -1, gid = -1;
  const kortex_workspace* raw = nullptr;

  Workspace() = default;
  explicit Workspace(const kortex_workspace* w)
      : options(detail::pairs(w->options, w->option_count)),
        source_path(detail::or_empty(w->source_path)),
        config_path(detail::or_empty(w->config_path)),
        target_path(detail::or_empty(w->target_path)),
        project(detail::or_empty(w->project)),
        agent_name(detail::or_empty(w->agent_name)),
        agent_argv(detail::strings(w->agent_argv)),
        env(detail::pairs(w->env, w->env_count)),
        labels(detail::pairs(w->labels, w->label_count)),
        network_denied(w->network != KORTEX_NETWORK_ALLOW),
        cpus_milli(w->cpus_milli),
        memory_bytes(w->memory_bytes),
        processes(w->processes),
        image(detail::or_empty(w->image)),
        build_context(detail::or_empty(w->build_context)),
        build_file(detail::or_empty(w->build_file)),
        uid(w->uid),
        gid(w->gid),
        raw(w) {
    for (std::uint32_t i = 0; i < w->mount_count; ++i)
      mounts.push_back({w->mounts[i]->host_path, w->mounts[i]->target,
                        (w->mounts[i]->flags & KORTEX_MOUNT_READ_ONLY) != 0,
                        (w->mounts[i]->flags & KORTEX_MOUNT_OPTIONAL) != 0});
    for (std::uint32_t i = 0; i < w->port_count; ++i)
      ports.push_back({w->ports[i]->target, w->ports[i]->host_port,
                       w->ports[i]->bind == nullptr ? "127.0.0.1" : w->ports[i]->bind});
    for (std::uint32_t i = 0; i < w->allowed_host_count; ++i) allowed_hosts.emplace_back(w->allowed_hosts[i]);
  }
};

enum class Isolation : kortex_isolation {
  none = KORTEX_ISOLATION_NONE,
  process = KORTEX_ISOLATION_PROCESS,
  container = KORTEX_ISOLATION_CONTAINER,
  microvm = KORTEX_ISOLATION_MICROVM,
};

struct Guarantees {
  Isolation isolation = Isolation::none;
  std::uint64_t enforces = 0;         ///< KORTEX_GUARANTEE_*: only what holds, nothing that is hoped for
  std::vector<std::string> exposure;  ///< what of the host the agent can reach, in plain words
};

/// Answer of a usable backend; an unusable one is an Error with KORTEX_E_UNAVAILABLE.
struct Probe {
  std::string backend;  ///< "podman 4.3.1"
  KeyValues facts;      ///< anything else worth showing in `runtime info`
};

struct StopMode {
  bool kill = false;                                ///< no grace
  std::optional<std::chrono::milliseconds> grace;   ///< none: the runtime's default
};

enum class RemoveMode { stopped_only, also_running };

/// How a program or a session ended.
struct Exit {
  kortex_end how = KORTEX_END_EXITED;
  int code = 0;  ///< 0..255, or 128+signal
};

/// A program to run in an instance, or (terminal() with empty argv) a session to enter. The descriptors are
/// the host's: borrowed until the operation returns, -1: none.
struct Execution {
  std::vector<std::string> argv, env;
  std::string cwd, user;
  bool tty = false;
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;
  std::uint16_t rows = 0, cols = 0;
  std::string detach_keys;
  const kortex_exec_args* raw = nullptr;

  Execution() = default;
  explicit Execution(const kortex_exec_args* a)
      : argv(detail::strings(a->argv)),
        env(detail::strings(a->env)),
        cwd(detail::or_empty(a->cwd)),
        user(detail::or_empty(a->user)),
        tty((a->flags & KORTEX_EXEC_TTY) != 0),
        stdin_fd(a->stdin_fd),
        stdout_fd(a->stdout_fd),
        stderr_fd(a->stderr_fd),
        rows(a->rows),
        cols(a->cols),
        detach_keys(detail::or_empty(a->detach_keys)),
        raw(a) {}
};

struct LogsRequest {
  bool follow = false, timestamps = false;
  std::int64_t tail = -1;  ///< lines from the end; -1: all
  std::int64_t since_ms = 0;
};

/// A program to start on the host's machine with Call::run().
struct Process {
  std::vector<std::string> argv;  ///< argv[0] is looked up in PATH
  std::vector<std::string> env;   ///< "K=V", added to the host's
  std::string cwd;                ///< empty: "/"
  std::string input;              ///< written to its stdin
  std::chrono::milliseconds timeout{0};  ///< zero: until the call's deadline
  int stdin_fd = -1, stdout_fd = -1, stderr_fd = -1;
  std::uint32_t flags = 0;  ///< KORTEX_RUN_*
};

struct ProcessResult {
  int exit_code = 0;  ///< 0..255, or 128+signal
  std::int64_t pid = 0;
  std::string out, err;
};

}  // namespace kortex
#endif
