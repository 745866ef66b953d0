#include "operation.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <system_error>

#include "pidfd.hpp"
#include "programs.hpp"
#include "recording.hpp"
#include "test.hpp"

namespace kortex::check {

char* g_breadcrumb = nullptr;

namespace {

constexpr std::chrono::milliseconds kill_after_deadline{5000};
constexpr unsigned table_seconds = 20;

/// Everything that the functions of the call reach.
struct CallState {
  Recorder& recorder;
  Programs& programs;
  const Surroundings& before;
  const std::string& record;
  const std::string& function;
  int cancel_fd;
  int results = 0;
};

CallState& state_of(const kortex_call* call) { return *static_cast<CallState*>(call->ctx); }

bool is_readable(int fd) {
  pollfd poll{fd, POLLIN, 0};
  return ::poll(&poll, 1, 0) > 0;
}

/// Whatever is open while the plugin is at work would be inherited by a program started now.
void look_at_descriptors(CallState& state) {
  for (const std::string& found : state.before.inheritable()) state.recorder.complain("R8: " + found);
}

extern "C" {
static kortex_status call_fail(const kortex_call* call, kortex_status code, const char* message, const char* hint, const char* detail) {
  if (message == nullptr) state_of(call).recorder.complain("R5: fail() was called without a message");
  state_of(call).recorder.failure(code, message, hint, detail);
  return code;
}
static std::int32_t call_is_cancelled(const kortex_call* call) { return is_readable(state_of(call).cancel_fd) ? 1 : 0; }
static void call_progress(const kortex_call* call, const char* phase, std::int64_t, std::int64_t, const char* message) {
  look_at_descriptors(state_of(call));
  if (phase == nullptr && message == nullptr) state_of(call).recorder.complain("R3: progress() was called without phase and message");
}
static std::int32_t call_emit(const kortex_call* call, const kortex_instance* instance) {
  CallState& state = state_of(call);
  look_at_descriptors(state);
  if (instance == nullptr || instance->struct_size < offsetof(kortex_instance, forwards)) {
    state.recorder.complain("R2: emit() was called with a struct_size that cannot be");
    return 1;
  }
  state.recorder.emitted(*instance);
  return call_is_cancelled(call);
}
static std::int32_t call_output(const kortex_call* call, kortex_stream stream, const void* data, std::size_t size) {
  CallState& state = state_of(call);
  if (stream != KORTEX_STREAM_STDOUT && stream != KORTEX_STREAM_STDERR) state.recorder.complain("output() was given a stream that is none");
  state.recorder.text(Tag::output, {static_cast<const char*>(data), size});
  return call_is_cancelled(call);
}
static void call_result(const kortex_call* call, const char* json) {
  state_of(call).recorder.text(Tag::result, json == nullptr ? "" : json);
}
static kortex_status call_run(const kortex_call* call, const kortex_process* process, kortex_process_result* result) {
  CallState& state = state_of(call);
  look_at_descriptors(state);
  if (process == nullptr || process->struct_size < sizeof(kortex_process)) {
    state.recorder.complain("R2: run() was called with a struct_size that cannot be");
    return call_fail(call, KORTEX_E_INTERNAL, "run() was called with a damaged process", nullptr, nullptr);
  }
  state.recorder.text(Tag::program, process->argv != nullptr && process->argv[0] != nullptr ? process->argv[0] : "");
  const std::int64_t begun = monotonic_ms();
  const kortex_status status = state.programs.run(*process, result);
  if (!state.record.empty()) record_program(state.record, state.function, *process, result, status, monotonic_ms() - begun);
  return status;
}
static void host_log(const kortex_host*, kortex_log_level, const char*) {}
static const void* host_extension(const kortex_host*, const char*) { return nullptr; }
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

kortex_host host_of(const HostPlaces& places) {
  kortex_host host{};
  host.struct_size = sizeof host;
  host.abi_major = KORTEX_ABI_MAJOR;
  host.abi_minor = KORTEX_ABI_MINOR;
  host.name = "kortex-runtime-check";
  host.version = KORTEX_CHECK_VERSION;
  host.state_dir = or_null(places.state_dir);
  host.cache_dir = or_null(places.cache_dir);
  host.runtime_dir = or_null(places.runtime_dir);
  host.session_program = or_null(places.session_program);
  host.log = host_log;
  host.extension = host_extension;
  return host;
}

void move_to(int fd, int target) {
  if (fd != target) ::dup2(fd, target);
}

/// Descriptors 0..2 and signals as the host sets them; we die with who started us.
void become_child(int noise, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(0);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  move_to(null, 0);
  move_to(noise, 1);
  move_to(noise, 2);
  if (null > 2) ::close(null);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGPIPE, &ignore, nullptr);
}

struct ChildEnds {
  int records, noise, cancel, resize, signal;
};

void perform(const HostPlaces& places, const OperationSettings& settings, const Body& body, const ChildEnds& ends, Recorder& recorder) {
  const Surroundings before = Surroundings::now();
  const std::size_t threads = Surroundings::thread_count();
  recorder.text(Tag::function, "load");
  const kortex_plugin* plugin = load_table(places.plugin_file, KORTEX_ABI_MINOR);

  kortex_call call{};
  Arena arena(settings.newer), open_arena(settings.newer);
  const std::int64_t deadline = settings.deadline.count() > 0 ? monotonic_ms() + settings.deadline.count() : -1;
  Programs programs({ends.cancel, ends.signal, deadline, settings.in, settings.out, settings.err,
                     [&](kortex_stream stream, std::string_view bytes) { return call.output(&call, stream, bytes.data(), bytes.size()) == 0; },
                     [&](kortex_status code, const std::string& message) { return call.fail(&call, code, message.c_str(), nullptr, nullptr); },
                     [&](std::int64_t pid) { recorder.plain(Tag::started, pid); }, [&](std::int64_t pid) { recorder.plain(Tag::ended, pid); }});
  CallState state{recorder, programs, before, places.record, settings.function, ends.cancel};
  const kortex_host host = host_of(places);
  call.struct_size = sizeof call;
  call.host = &host;
  call.ctx = &state;
  call.deadline_ms = deadline;
  call.cancel_fd = ends.cancel;
  call.resize_fd = ends.resize;
  call.signal_fd = ends.signal;
  call.fail = call_fail;
  call.is_cancelled = call_is_cancelled;
  call.progress = call_progress;
  call.emit = call_emit;
  call.output = call_output;
  call.result = call_result;
  call.run = call_run;

  recorder.text(Tag::function, "open");
  auto* open_call = static_cast<kortex_call*>(open_arena.make<kortex_call>());
  std::memcpy(open_call, &call, sizeof call);
  auto* open_args = open_arena.make<kortex_open_args>();
  const KeyValues global = completed_options(*plugin, places.options, true);
  open_args->options = open_arena.copy(global);
  open_args->option_count = static_cast<std::uint32_t>(global.size());
  open_arena.seal();
  kortex_runtime* runtime = nullptr;
  kortex_status status = plugin->open(open_call, open_args, &host, &runtime);
  open_arena.revoke();
  if (status != KORTEX_OK) {
    recorder.plain(Tag::status, status);
    return;
  }

  recorder.text(Tag::function, settings.function);
  auto* own_call = arena.make<kortex_call>();
  std::memcpy(own_call, &call, sizeof call);
  Child child{arena, *plugin, runtime, own_call, recorder, places};
  const std::int64_t begun = monotonic_ms();
  status = body(child);
  recorder.plain(Tag::elapsed, monotonic_ms() - begun);
  look_at_descriptors(state);
  arena.revoke();

  recorder.text(Tag::function, "close");
  plugin->close(runtime);
  for (const std::string& change : before.changes()) recorder.complain("R8: " + change);
  look_at_descriptors(state);
  if (Surroundings::thread_count() > threads) recorder.complain("R6: a thread is left after close()");
  recorder.text(Tag::function, settings.function);
  recorder.plain(Tag::status, status);
}

Fd memory(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd) throw std::system_error(errno, std::generic_category(), "memfd_create");
  return fd;
}

std::string text_of(int fd) {
  std::string text(1 << 16, '\0');
  const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
  text.resize(n > 0 ? static_cast<std::size_t>(n) : 0);
  return text;
}

void take_status(int status, Outcome& outcome) {
  if (WIFSIGNALED(status)) outcome.signal = WTERMSIG(status);
  if (WIFEXITED(status)) outcome.exit_status = WEXITSTATUS(status);
}

std::string in_native_units(const kortex_option& option, const std::string& value) {
  struct Unit {
    std::string_view suffix;
    std::int64_t factor;
  };
  static constexpr Unit sizes[] = {{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"K", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}};
  static constexpr Unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
  const std::span<const Unit> units = option.type == KORTEX_OPT_SIZE       ? std::span<const Unit>(sizes)
                                      : option.type == KORTEX_OPT_DURATION ? std::span<const Unit>(durations)
                                                                           : std::span<const Unit>();
  for (const Unit& unit : units) {
    if (value.size() <= unit.suffix.size() || value.substr(value.size() - unit.suffix.size()) != unit.suffix) continue;
    std::int64_t number = 0;
    const char* end = value.data() + value.size() - unit.suffix.size();
    const auto [stop, error] = std::from_chars(value.data(), end, number);
    if (error == std::errc() && stop == end) return std::to_string(number * unit.factor);
  }
  return value;
}

}  // namespace

KeyValues completed_options(const kortex_plugin& plugin, const KeyValues& given, bool global) {
  KeyValues out;
  for (const kortex_option* const* at = plugin.options; at != nullptr && *at != nullptr; ++at) {
    const kortex_option& option = **at;
    if (((option.flags & KORTEX_OPT_GLOBAL) != 0) != global) continue;
    bool is_given = false;
    for (const auto& [name, value] : given) {
      if (name != option.name) continue;
      out.emplace_back(name, in_native_units(option, value));
      is_given = true;
    }
    if (!is_given && option.default_value != nullptr) out.emplace_back(option.name, in_native_units(option, option.default_value));
  }
  return out;
}

const kortex_plugin* load_table(const std::string& file, std::uint32_t host_minor) {
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) {
    const char* why = ::dlerror();
    fail(std::string("it cannot be loaded: ") + (why == nullptr ? "?" : why));
  }
  const auto entry = reinterpret_cast<kortex_runtime_entry>(::dlsym(library, KORTEX_RUNTIME_ENTRY_NAME));
  if (entry == nullptr) fail("it does not export " KORTEX_RUNTIME_ENTRY_NAME);
  const kortex_plugin* plugin = entry(host_minor);
  if (plugin == nullptr) fail("its entry returned no table");
  return plugin;
}

Operation::Operation(const HostPlaces& places, const OperationSettings& settings, const Body& body) : m_settings(settings) {
  m_records = memory("records");
  m_noise = memory("noise");
  Pipe cancel = Pipe::make(), resize, signals;
  if (settings.terminal) {
    resize = Pipe::make();
    signals = Pipe::make();
  }
  m_cancel = std::move(cancel.write);
  m_resize = std::move(resize.write);
  m_signal = std::move(signals.write);
  if (settings.cancelled) this->cancel();
  if (g_breadcrumb != nullptr) std::strncpy(g_breadcrumb, settings.function.c_str(), breadcrumb_size - 1);
  const pid_t parent = ::getpid();
  m_pid = ::fork();
  if (m_pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (m_pid > 0) {
    m_pidfd.reset(::pidfd_open(m_pid, 0));
    return;
  }
  Recorder recorder(m_records.get());
  const ChildEnds ends{m_records.get(), m_noise.get(), cancel.read.get(), resize.read.get(), signals.read.get()};
  m_cancel.reset();
  m_resize.reset();
  m_signal.reset();
  become_child(ends.noise, parent);
  int status = 0;
  try {
    perform(places, settings, body, ends, recorder);
  } catch (const Failed& error) {
    recorder.text(Tag::complaint, error.what());
    status = 121;
  } catch (const std::exception& error) {
    recorder.complain(std::string("R5: an exception left the plugin: ") + error.what());
    status = 122;
  } catch (...) {
    recorder.complain("R5: an exception left the plugin");
    status = 122;
  }
  std::fflush(nullptr);  // what it printed must be seen, though nobody flushed it
  ::_exit(status);
}

Operation::~Operation() {
  if (m_pid <= 0 || !m_pidfd) return;
  kill();
  ::waitpid(m_pid, nullptr, 0);
}

void Operation::cancel() {
  // The end of file keeps it readable for ever, whoever reads a byte.
  if (m_cancel) [[maybe_unused]] const ssize_t n = ::write(m_cancel.get(), "", 1);
}
void Operation::resized() { [[maybe_unused]] const ssize_t n = ::write(m_resize.get(), "", 1); }
void Operation::signal(int number) {
  const auto byte = static_cast<unsigned char>(number);
  [[maybe_unused]] const ssize_t n = ::write(m_signal.get(), &byte, 1);
}
void Operation::kill() { ::pidfd_send_signal(m_pidfd.get(), SIGKILL, nullptr, 0); }

bool Operation::wait(std::chrono::milliseconds limit) {
  pollfd poll{m_pidfd.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&poll, 1, static_cast<int>(limit.count()))) < 0 && errno == EINTR) continue;
  return ready > 0;
}

Outcome Operation::finish() {
  // The deadline is the host's affair as well: it cancels.
  if (m_settings.deadline.count() > 0 && !wait(m_settings.deadline)) {
    cancel();
    if (!wait(kill_after_deadline)) kill();
  }
  (void)wait(std::chrono::milliseconds(-1));
  int status = 0;
  ::waitpid(m_pid, &status, 0);
  m_pid = -1;
  Outcome outcome = read_outcome(m_records.get());
  // A host ends the programs of run() when the operation did not come to it.
  for (const std::int64_t group : outcome.unfinished) ::kill(static_cast<pid_t>(-group), SIGKILL);
  take_status(status, outcome);
  outcome.noise = text_of(m_noise.get());
  return outcome;
}

Outcome with_table(const HostPlaces& places, const std::string& name, const std::function<kortex_status(const kortex_plugin&, Recorder&)>& body) {
  const Fd records = memory("records"), noise = memory("noise");
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) {
    Recorder recorder(records.get());
    become_child(noise.get(), parent);
    recorder.text(Tag::function, "load");
    ::alarm(table_seconds);
    try {
      const kortex_plugin* plugin = load_table(places.plugin_file, KORTEX_ABI_MINOR);
      recorder.text(Tag::function, name);
      recorder.plain(Tag::status, body(*plugin, recorder));
    } catch (const Failed& error) {
      recorder.complain(error.what());
      ::_exit(121);
    } catch (...) {
      recorder.complain("R5: an exception left the plugin");
      ::_exit(122);
    }
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  Outcome outcome = read_outcome(records.get());
  take_status(status, outcome);
  outcome.noise = text_of(noise.get());
  return outcome;
}

}  // namespace kortex::check
