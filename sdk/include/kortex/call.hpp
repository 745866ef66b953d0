/// What the host gives a plugin during an operation. Header-only, C++17. Both classes are thin views of the
/// C structs: copy them freely, keep a Call no longer than its operation and a Host no longer than the
/// runtime object. Their functions may be called from any thread.
#ifndef KORTEX_CALL_HPP
#define KORTEX_CALL_HPP

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <kortex/error.hpp>
#include <kortex/json.hpp>
#include <kortex/types.hpp>

namespace kortex {

/// The host's services: lives as long as the runtime object.
class Host {
 public:
  explicit Host(const kortex_host* host) : m_host(host) {}
  /// The plugin's own directories, across instances: exist, mode 0700.
  [[nodiscard]] const char* state_dir() const { return detail::or_empty(m_host->state_dir); }
  [[nodiscard]] const char* cache_dir() const { return detail::or_empty(m_host->cache_dir); }
  [[nodiscard]] const char* runtime_dir() const { return detail::or_empty(m_host->runtime_dir); }
  /// The installed session holder; "": not installed.
  [[nodiscard]] const char* session_program() const { return detail::or_empty(m_host->session_program); }
  void log(kortex_log_level level, const std::string& message) const { m_host->log(m_host, level, message.c_str()); }
  [[nodiscard]] const kortex_host* raw() const { return m_host; }

 private:
  const kortex_host* m_host;
};

namespace detail {
/// run() failed and the host has recorded why: its code is passed on without a second fail().
class RunFailed : public Error {
 public:
  RunFailed(kortex_status status, const std::string& program)
      : Error(status, "cannot run '" + program + "'") {}
};
}  // namespace detail

/// One operation, from the inside.
class Call {
 public:
  explicit Call(const kortex_call* call) : m_call(call) {}

  [[nodiscard]] Host host() const { return Host(m_call->host); }
  [[nodiscard]] bool is_interactive() const { return (m_call->flags & KORTEX_CALL_INTERACTIVE) != 0; }
  [[nodiscard]] bool is_verbose() const { return (m_call->flags & KORTEX_CALL_VERBOSE) != 0; }
  [[nodiscard]] const kortex_call* raw() const { return m_call; }

  // Cancellation (R7): call throw_if_cancelled() at least every 100 ms, or wait with wait_any().

  [[nodiscard]] bool cancelled() const { return m_call->is_cancelled(m_call) != 0; }

  /// Until the operation must have returned; nullopt: no limit. Never negative.
  [[nodiscard]] std::optional<std::chrono::milliseconds> time_left() const {
    if (m_call->deadline_ms < 0) return std::nullopt;
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t now_ms = static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
    return std::chrono::milliseconds(std::max<std::int64_t>(0, m_call->deadline_ms - now_ms));
  }

  /// Throws Cancelled, or Error(KORTEX_E_TIMEOUT) after the deadline.
  void throw_if_cancelled() const {
    if (cancelled()) throw Cancelled();
    if (time_left() == std::chrono::milliseconds(0)) throw Error(KORTEX_E_TIMEOUT, "the operation took too long");
  }

  /// Returns the position in `fds` of one that can be read or has been hung up; nullopt after `limit`. Negative
  /// descriptors are never ready. Throws as throw_if_cancelled() does, at once when that happens meanwhile.
  std::optional<std::size_t> wait_any(const std::vector<int>& fds,
                                      std::optional<std::chrono::milliseconds> limit = std::nullopt) const {
    using std::chrono::milliseconds;
    using Clock = std::chrono::steady_clock;
    std::vector<pollfd> polled{{m_call->cancel_fd, POLLIN, 0}};
    for (const int fd : fds) polled.push_back({fd, POLLIN, 0});
    const Clock::time_point start = Clock::now();
    for (;;) {
      throw_if_cancelled();
      std::optional<milliseconds> rest = time_left();
      if (limit) {
        const auto passed = std::chrono::duration_cast<milliseconds>(Clock::now() - start);
        if (passed >= *limit) return std::nullopt;
        rest = std::min(rest.value_or(*limit - passed), *limit - passed);
      }
      // A host without a cancel_fd can only be asked now and then.
      if (m_call->cancel_fd < 0) rest = std::min(rest.value_or(milliseconds(50)), milliseconds(50));
      const int timeout = rest ? static_cast<int>(std::min<std::int64_t>(rest->count() + 1, 1000000)) : -1;
      const int ready = ::poll(polled.data(), static_cast<nfds_t>(polled.size()), timeout);
      if (ready < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
      if (ready <= 0) continue;
      if (polled[0].revents != 0) throw Cancelled();
      for (std::size_t i = 0; i < fds.size(); ++i)
        if (polled[i + 1].revents != 0) return i;
    }
  }

  /// The same for one descriptor; -1: just waits. True when it is ready.
  bool wait_readable(int fd, std::optional<std::chrono::milliseconds> limit = std::nullopt) const {
    return wait_any({fd}, limit).has_value();
  }

  // What a person sees.

  /// `phase`: "pull", "boot", ...; `total` < 0: unknown.
  void progress(const std::string& phase, const std::string& message, std::int64_t done = 0,
                std::int64_t total = -1) const {
    m_call->progress(m_call, phase.c_str(), done, total, message.c_str());
  }
  void log(kortex_log_level level, const std::string& message) const { host().log(level, message); }

  // Results. The host copies. Each throws Cancelled when the host wants no more.

  /// One instance, of inspect() or list().
  void emit(const Ref& ref, const Instance& instance) const { emit_as(ref.key(), ref.id(), ref.name(), instance); }
  /// One instance of list(), with its key filled in (empty: no kortex host made it).
  void emit(const Instance& instance) const { emit_as(nullptr, nullptr, nullptr, instance); }
  /// Without any copy: for inspect() of thousands.
  void emit(const kortex_instance& instance) const {
    if (m_call->emit(m_call, &instance) != 0) throw Cancelled();
  }
  /// Bytes of logs, or of a program's output.
  void output(kortex_stream stream, std::string_view bytes) const {
    if (m_call->output(m_call, stream, bytes.data(), bytes.size()) != 0) throw Cancelled();
  }
  /// The answer of an extension: a JSON object (see json.hpp). At most once in an operation.
  void result(const std::string& json) const { m_call->result(m_call, json.c_str()); }

  /// Runs a program on the host's machine and waits for it (not with KORTEX_RUN_DETACH). Any exit status is a
  /// result; throws Error when it could not be run (KORTEX_E_UNAVAILABLE: not installed) or was cut short.
  ProcessResult run(const Process& process) const {
    const auto pointers = [](const std::vector<std::string>& texts) {
      std::vector<const char*> out;
      out.reserve(texts.size() + 1);
      for (const std::string& text : texts) out.push_back(text.c_str());
      out.push_back(nullptr);
      return out;
    };
    if (process.argv.empty()) throw Error(KORTEX_E_INTERNAL, "run() was given no program");
    const std::vector<const char*> argv = pointers(process.argv), env = pointers(process.env);
    kortex_process in{};
    in.struct_size = sizeof in;
    in.flags = process.flags;
    in.argv = argv.data();
    in.env_add = env.data();
    in.cwd = process.cwd.empty() ? nullptr : process.cwd.c_str();
    in.input = process.input.empty() ? nullptr : process.input.data();
    in.input_size = process.input.size();
    in.timeout_ms = static_cast<std::int32_t>(process.timeout.count());
    in.stdin_fd = process.stdin_fd;
    in.stdout_fd = process.stdout_fd;
    in.stderr_fd = process.stderr_fd;
    kortex_process_result out{};
    out.struct_size = sizeof out;
    const kortex_status status = m_call->run(m_call, &in, &out);
    if (status == KORTEX_E_CANCELLED) throw Cancelled();
    if (status != KORTEX_OK) throw detail::RunFailed(status, process.argv[0]);
    ProcessResult result;
    result.exit_code = out.exit_code;
    result.pid = out.pid;
    if (out.out != nullptr) result.out.assign(out.out, out.out_size);
    if (out.err != nullptr) result.err.assign(out.err, out.err_size);
    return result;
  }

 private:
  void emit_as(const char* key, const char* id, const char* name, const Instance& from) const {
    const auto given = [](const std::string& text, const char* fallback) {
      return !text.empty() ? text.c_str() : fallback != nullptr && *fallback != '\0' ? fallback : nullptr;
    };
    std::vector<kortex_kv> labels;
    labels.reserve(from.labels.size());
    for (const auto& [label, value] : from.labels) labels.push_back({label.c_str(), value.c_str()});
    std::vector<kortex_forward> forwards;
    std::vector<const kortex_forward*> forward_pointers;
    forwards.reserve(from.forwards.size());
    for (const Forward& forward : from.forwards) {
      kortex_forward& out = forwards.emplace_back();
      out.struct_size = sizeof out;
      out.target = forward.target;
      out.port = forward.port;
      out.bind = forward.bind.c_str();
      forward_pointers.push_back(&out);
    }
    kortex_instance out{};
    out.struct_size = sizeof out;
    out.state = static_cast<kortex_state>(from.state);
    out.key = given(from.key, key);
    out.id = given(from.id, id);
    if (out.id == nullptr) out.id = out.key;
    out.name = given(from.name, name);
    out.status = given(from.status, nullptr);
    out.pid = from.pid;
    out.created_ms = from.created_ms;
    out.started_ms = from.started_ms;
    out.finished_ms = from.finished_ms;
    out.exit_code = from.exit_code;
    out.label_count = static_cast<std::uint32_t>(labels.size());
    out.labels = labels.data();
    out.details_json = given(from.details_json, nullptr);
    out.forward_count = static_cast<std::uint32_t>(forwards.size());
    out.forwards = forward_pointers.data();
    emit(out);
  }

  const kortex_call* m_call;
};

}  // namespace kortex
#endif
