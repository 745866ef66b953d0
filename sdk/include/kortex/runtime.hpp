/// A runtime plugin in C++: derive a class, register it once. Header-only, C++17 and C++20, no dependency
/// but the C++ library; everything below ends in the C contract of <kortex/runtime.h>.
///
///     class Echo : public kortex::Runtime {
///      public:
///       kortex::Probe probe(kortex::Call&) override { return {"echo", {}}; }
///       kortex::Instance create(kortex::Call& call, const kortex::Ref& ref, const kortex::Workspace& w) override;
///       ...the other pure functions of kortex::Runtime
///     };
///     KORTEX_RUNTIME(Echo, "echo", "0.1.0", "says everything twice");
///
/// Failing: throw kortex::Error(KORTEX_E_..., message, hint, detail). No exception crosses to the host:
///     kortex::Error, session::Error   its code, message, hint and detail
///     kortex::Cancelled               KORTEX_E_CANCELLED
///     std::bad_alloc                  KORTEX_E_RESOURCE
///     std::system_error               KORTEX_E_PERMISSION, KORTEX_E_RESOURCE or KORTEX_E_FAILED, by its errno
///     anything else                   KORTEX_E_INTERNAL with what(): shown as a bug of the plugin
///
/// Life: the host makes the object in a short-lived process, calls usually one operation, and destroys it.
/// The constructor takes `const kortex::Open&` or nothing, and is cheap: it starts no program and contacts no
/// daemon. State lives in the backend or in ref.state_dir(), never in a member (R10).
/// Threads: one operation at a time, unless the class says `static constexpr std::uint64_t capabilities =
/// KORTEX_CAP_CONCURRENT;`. Arguments are the plugin's copies or borrowed until the function returns.
#ifndef KORTEX_RUNTIME_HPP
#define KORTEX_RUNTIME_HPP

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <system_error>
#include <type_traits>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/error.hpp>
#include <kortex/runtime.h>
#include <kortex/types.hpp>

namespace kortex {

/// What the constructor is given.
struct Open {
  Call call;
  Host host;        ///< may be kept as long as the object lives
  Options options;  ///< the KORTEX_OPT_GLOBAL ones
};

/// The required operations. start, stop and remove of what is already started, stopped or gone succeed (R9).
class Runtime {
 public:
  Runtime() = default;
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;
  virtual ~Runtime() = default;

  /// Is the backend usable? Throws Error(KORTEX_E_UNAVAILABLE) with what to install or start as the hint.
  virtual Probe probe(Call&) = 0;
  /// What is enforced for these options on this machine now; changes nothing.
  virtual Guarantees guarantees(Call&, const Workspace&) = 0;
  /// Makes the instance, or returns the one that has this key already.
  virtual Instance create(Call&, const Ref&, const Workspace&) = 0;
  /// Starts the instance and its agent; returns when the agent's program has been started. `env`: "K=V", never
  /// to be stored or logged.
  virtual Instance start(Call&, const Ref&, const Workspace&, const std::vector<std::string>& env) = 0;
  virtual Instance stop(Call&, const Ref&, const StopMode&) = 0;
  virtual void remove(Call&, const Ref&, RemoveMode) = 0;
  /// One backend round trip for all; calls call.emit() exactly once for each, State::gone where missing.
  virtual void inspect(Call&, const std::vector<Ref>&) = 0;
};

// The optional operations. Derive from those that the backend can do as well; the host sees just them.

/// Runs a program in a running instance. Without a tty it is a clean pipe; ended when the host has died.
class Execs {
 public:
  virtual ~Execs() = default;
  virtual Exit exec(Call&, const Ref&, const Execution&) = 0;
};

/// The same on a terminal; with empty argv the agent's own session.
class Terminals {
 public:
  virtual ~Terminals() = default;
  virtual Exit terminal(Call&, const Ref&, const Execution&) = 0;
};

/// Hands what the agent wrote to call.output().
class Logs {
 public:
  virtual ~Logs() = default;
  virtual void logs(Call&, const Ref&, const LogsRequest&) = 0;
};

/// Returns when the agent has ended; at once when it is not running.
class Waits {
 public:
  virtual ~Waits() = default;
  virtual Exit wait(Call&, const Ref&) = 0;
};

/// Emits all instances of the backend that carry a key of a kortex host.
class Lists {
 public:
  virtual ~Lists() = default;
  virtual void list(Call&) = 0;
};

// Extensions: `static const void* extension(const char* id)` in the class. In their functions:
/// The object behind the host's handle.
template <class R>
[[nodiscard]] R& runtime_cast(kortex_runtime* runtime) {
  return *reinterpret_cast<R*>(runtime);
}

namespace detail {

/// Not NOT_FOUND for ENOENT: the host reads that as "the instance is gone", which a missing file does not say.
inline kortex_status code_of(const std::error_code& error) {
  if (error.category() != std::generic_category() && error.category() != std::system_category()) return KORTEX_E_FAILED;
  switch (error.value()) {
    case EACCES: case EPERM: case EROFS: return KORTEX_E_PERMISSION;
    case ENOMEM: case ENOSPC: case EDQUOT: case EMFILE: case ENFILE: case EAGAIN: return KORTEX_E_RESOURCE;
    default: return KORTEX_E_FAILED;
  }
}

/// "<what>: <reason>" as the host writes reasons: without a capital.
inline std::string text_of(const std::system_error& error) {
  std::string text = error.what();
  const std::size_t at = text.size() - std::min(text.size(), error.code().message().size());
  if (at + 1 < text.size() && text[at] >= 'A' && text[at] <= 'Z' && text[at + 1] >= 'a' && text[at + 1] <= 'z') text[at] += 'a' - 'A';
  return text;
}

/// Inside a catch block: says to the host what was caught, in one place for all operations.
inline kortex_status report_caught(const kortex_call* call) noexcept {
  const auto given = [](const std::string& text) { return text.empty() ? nullptr : text.c_str(); };
  try {
    throw;
  } catch (const Cancelled&) {
    return KORTEX_E_CANCELLED;
  } catch (const RunFailed& error) {
    return error.code;
  } catch (const Error& error) {
    // KORTEX_OK as an author's mistake must not turn a failure into a success.
    const kortex_status code = error.code == KORTEX_OK ? KORTEX_E_INTERNAL : error.code;
    return call->fail(call, code, error.what(), given(error.hint), given(error.detail));
  } catch (const std::bad_alloc&) {
    return call->fail(call, KORTEX_E_RESOURCE, "out of memory", nullptr, nullptr);
  } catch (const std::system_error& error) {
    return call->fail(call, code_of(error.code()), text_of(error).c_str(), nullptr, nullptr);
  } catch (const std::exception& error) {
    return call->fail(call, KORTEX_E_INTERNAL, error.what(), nullptr, nullptr);
  } catch (...) {
    return call->fail(call, KORTEX_E_INTERNAL, "an exception that is no std::exception", nullptr, nullptr);
  }
}

template <class Operation>
kortex_status guarded(const kortex_call* call, Operation&& operation) noexcept {
  try {
    operation();
    return KORTEX_OK;
  } catch (...) {
    return report_caught(call);
  }
}

inline void write_exit(const Exit& from, kortex_exit* out) {
  out->how = from.how;
  out->code = from.code;
}

/// The C functions over a class R.
template <class R>
struct Operations {
  static_assert(std::is_base_of_v<Runtime, R>, "KORTEX_RUNTIME: the class must derive publicly from kortex::Runtime");
  static_assert(!std::is_abstract_v<R>,
                "KORTEX_RUNTIME: the class leaves pure functions open: override all of kortex::Runtime's and of the "
                "optional interfaces it derives from");
  static_assert(std::is_constructible_v<R, const Open&> || std::is_default_constructible_v<R>,
                "KORTEX_RUNTIME: the class needs a constructor that takes (const kortex::Open&) or nothing");

  static R& self(kortex_runtime* runtime) { return runtime_cast<R>(runtime); }

  static kortex_status open(const kortex_call* call, const kortex_open_args* args, const kortex_host* host,
                            kortex_runtime** out) noexcept {
    return guarded(call, [&] {
      std::unique_ptr<R> made;
      if constexpr (std::is_constructible_v<R, const Open&>) {
        const Open open{Call(call), Host(host), Options(pairs(args->options, args->option_count))};
        made = std::make_unique<R>(open);
      } else {
        made = std::make_unique<R>();
      }
      *out = reinterpret_cast<kortex_runtime*>(made.release());
    });
  }
  static void close(kortex_runtime* runtime) noexcept { delete &self(runtime); }

  static kortex_status probe(kortex_runtime* runtime, const kortex_call* c) noexcept {
    return guarded(c, [&] {
      Call call(c);
      const Probe answer = self(runtime).probe(call);
      json::Object object;
      if (!answer.backend.empty()) object.add("backend", answer.backend);
      for (const auto& [key, value] : answer.facts) object.add(key, value);
      call.result(object.text());
    });
  }
  static kortex_status guarantees(kortex_runtime* runtime, const kortex_call* c, const kortex_workspace* workspace,
                                  kortex_guarantees* out) noexcept {
    return guarded(c, [&] {
      Call call(c);
      const Guarantees answer = self(runtime).guarantees(call, Workspace(workspace));
      json::Array exposure;
      for (const std::string& line : answer.exposure) exposure.add(line);
      call.result(json::Object{{"exposure", exposure}}.text());
      out->isolation = static_cast<kortex_isolation>(answer.isolation);
      out->enforces = answer.enforces;
    });
  }
  static kortex_status create(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                              const kortex_create_args* args) noexcept {
    return guarded(c, [&] {
      Call call(c);
      call.emit(Ref(ref), self(runtime).create(call, Ref(ref), Workspace(args->workspace)));
    });
  }
  static kortex_status start(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                             const kortex_start_args* args) noexcept {
    return guarded(c, [&] {
      Call call(c);
      call.emit(Ref(ref), self(runtime).start(call, Ref(ref), Workspace(args->workspace), strings(args->env)));
    });
  }
  static kortex_status stop(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                            const kortex_stop_args* args) noexcept {
    return guarded(c, [&] {
      Call call(c);
      StopMode mode;
      mode.kill = (args->flags & KORTEX_STOP_KILL) != 0;
      if (args->grace_ms >= 0) mode.grace = std::chrono::milliseconds(args->grace_ms);
      call.emit(Ref(ref), self(runtime).stop(call, Ref(ref), mode));
    });
  }
  static kortex_status remove(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                              const kortex_remove_args* args) noexcept {
    return guarded(c, [&] {
      Call call(c);
      self(runtime).remove(call, Ref(ref), (args->flags & KORTEX_REMOVE_FORCE) != 0 ? RemoveMode::also_running
                                                                                    : RemoveMode::stopped_only);
    });
  }
  static kortex_status inspect(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* const* refs,
                               std::size_t count) noexcept {
    return guarded(c, [&] {
      Call call(c);
      self(runtime).inspect(call, std::vector<Ref>(refs, refs + count));
    });
  }
  static kortex_status list(kortex_runtime* runtime, const kortex_call* c) noexcept {
    return guarded(c, [&] {
      Call call(c);
      self(runtime).list(call);
    });
  }
  static kortex_status exec(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                            const kortex_exec_args* args, kortex_exit* out) noexcept {
    return guarded(c, [&] {
      Call call(c);
      write_exit(self(runtime).exec(call, Ref(ref), Execution(args)), out);
    });
  }
  static kortex_status terminal(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                                const kortex_exec_args* args, kortex_exit* out) noexcept {
    return guarded(c, [&] {
      Call call(c);
      write_exit(self(runtime).terminal(call, Ref(ref), Execution(args)), out);
    });
  }
  static kortex_status logs(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                            const kortex_logs_args* args) noexcept {
    return guarded(c, [&] {
      Call call(c);
      LogsRequest request;
      request.follow = (args->flags & KORTEX_LOGS_FOLLOW) != 0;
      request.timestamps = (args->flags & KORTEX_LOGS_TIMESTAMPS) != 0;
      request.tail = args->tail;
      request.since_ms = args->since_ms;
      self(runtime).logs(call, Ref(ref), request);
    });
  }
  static kortex_status wait(kortex_runtime* runtime, const kortex_call* c, const kortex_ref* ref,
                            kortex_exit* out) noexcept {
    return guarded(c, [&] {
      Call call(c);
      write_exit(self(runtime).wait(call, Ref(ref)), out);
    });
  }
};

using ExtensionFunction = const void* (*)(const char* id);

// What a class may state about itself in static members; absent ones take the second form.
#define KORTEX_STATIC_MEMBER_(member, type, fallback)                                    \
  template <class R>                                                                     \
  constexpr auto member##_of(int)->decltype(static_cast<type>(R::member)) {              \
    return R::member;                                                                    \
  }                                                                                      \
  template <class R>                                                                     \
  constexpr type member##_of(long) {                                                     \
    return fallback;                                                                     \
  }
KORTEX_STATIC_MEMBER_(capabilities, std::uint64_t, 0)
KORTEX_STATIC_MEMBER_(vendor, const char*, nullptr)
KORTEX_STATIC_MEMBER_(homepage, const char*, nullptr)
KORTEX_STATIC_MEMBER_(license, const char*, nullptr)
KORTEX_STATIC_MEMBER_(extension, ExtensionFunction, nullptr)
#undef KORTEX_STATIC_MEMBER_

template <class R>
auto options_of(int) -> decltype(std::vector<Option>(R::options())) {
  return R::options();
}
template <class R>
std::vector<Option> options_of(long) {
  return {};
}

/// The table of R and all it points to. Made once, never destroyed: the host keeps pointers until the process ends.
template <class R>
class Table {
 public:
  Table(const char* name, const char* version, const char* summary) : m_options(options_of<R>(0)) {
    m_pointers.reserve(m_options.size() + 1);
    m_c_options.reserve(m_options.size());
    m_choices.reserve(m_options.size());
    for (const Option& option : m_options) {
      std::vector<const char*>& choices = m_choices.emplace_back();
      for (const std::string& choice : option.choices) choices.push_back(choice.c_str());
      choices.push_back(nullptr);
      kortex_option& out = m_c_options.emplace_back();
      out.struct_size = sizeof out;
      out.type = option.type;
      out.flags = option.flags;
      out.name = option.name.c_str();
      out.help = option.help.c_str();
      out.default_value = option.default_value ? option.default_value->c_str() : nullptr;
      out.choices = option.choices.empty() ? nullptr : choices.data();
      out.min_value = option.min_value;
      out.max_value = option.max_value;
      m_pointers.push_back(&out);
    }
    m_pointers.push_back(nullptr);

    using O = Operations<R>;
    m_plugin.struct_size = sizeof m_plugin;
    m_plugin.abi_major = KORTEX_ABI_MAJOR;
    m_plugin.abi_minor = KORTEX_ABI_MINOR;
    m_plugin.capabilities = capabilities_of<R>(0);
    m_plugin.name = name;
    m_plugin.version = version;
    m_plugin.summary = summary;
    m_plugin.vendor = vendor_of<R>(0);
    m_plugin.homepage = homepage_of<R>(0);
    m_plugin.license = license_of<R>(0);
    m_plugin.options = m_options.empty() ? nullptr : m_pointers.data();
    m_plugin.open = O::open;
    m_plugin.close = O::close;
    m_plugin.probe = O::probe;
    m_plugin.guarantees = O::guarantees;
    m_plugin.create = O::create;
    m_plugin.start = O::start;
    m_plugin.stop = O::stop;
    m_plugin.remove = O::remove;
    m_plugin.inspect = O::inspect;
    if constexpr (std::is_base_of_v<Lists, R>) m_plugin.list = O::list;
    if constexpr (std::is_base_of_v<Execs, R>) m_plugin.exec = O::exec;
    if constexpr (std::is_base_of_v<Terminals, R>) m_plugin.terminal = O::terminal;
    if constexpr (std::is_base_of_v<Logs, R>) m_plugin.logs = O::logs;
    if constexpr (std::is_base_of_v<Waits, R>) m_plugin.wait = O::wait;
    m_plugin.extension = extension_of<R>(0);
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  [[nodiscard]] const kortex_plugin* plugin() const { return &m_plugin; }

 private:
  std::vector<Option> m_options;
  std::vector<std::vector<const char*>> m_choices;
  std::vector<kortex_option> m_c_options;
  std::vector<const kortex_option*> m_pointers;
  kortex_plugin m_plugin{};
};

/// NULL, which the host reports, when there is no memory for it.
template <class R>
const kortex_plugin* table_of(const char* name, const char* version, const char* summary) noexcept {
  try {
    static const Table<R>* const table = new Table<R>(name, version, summary);
    return table->plugin();
  } catch (...) {
    return nullptr;
  }
}

constexpr bool is_runtime_name(const char* name) {
  if (*name < 'a' || *name > 'z') return false;
  std::size_t length = 0;
  for (; name[length] != '\0'; ++length) {
    const char c = name[length];
    if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')) return false;
  }
  return length <= 32;
}
constexpr bool is_plain_text(const char* text) {
  if (*text == '\0') return false;
  for (; *text != '\0'; ++text)
    if (*text == '"' || *text == '\\' || static_cast<unsigned char>(*text) < 0x20) return false;
  return true;
}

}  // namespace detail
}  // namespace kortex

/// Registers `class_` as the runtime of this plugin. Once per plugin, at file scope, with a semicolon. The
/// last three are string literals: the name users type, the plugin's semantic version (kortex_add_runtime_plugin
/// defines KORTEX_RUNTIME_VERSION from the CMake project's), one line about it.
#define KORTEX_RUNTIME(class_, name_, version_, summary_) KORTEX_RUNTIME_MORE(class_, name_, version_, summary_, "")
/// The same with further members of the note (KORTEX_RUNTIME_NOTE_MORE): ",\"test\":true".
#define KORTEX_RUNTIME_MORE(class_, name_, version_, summary_, more_)                                              \
  static_assert(::kortex::detail::is_runtime_name(name_),                                                          \
                "KORTEX_RUNTIME: the name is a lower-case letter, then up to 31 lower-case letters, digits or '-'"); \
  static_assert(::kortex::detail::is_plain_text(version_) && ::kortex::detail::is_plain_text(summary_),            \
                "KORTEX_RUNTIME: version and summary are not empty, without quotes, backslashes and line breaks"); \
  KORTEX_RUNTIME_NOTE_MORE(name_, version_, summary_, more_);                                                      \
  extern "C" KORTEX_EXPORT const kortex_plugin* KORTEX_RUNTIME_ENTRY(std::uint32_t) {                              \
    return ::kortex::detail::table_of<class_>(name_, version_, summary_);                                          \
  }                                                                                                                \
  static_assert(true, "ends with a semicolon")

#endif
