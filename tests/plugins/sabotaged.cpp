// The process runtime without its sandbox, honest but for one thing that KORTEX_SABOTAGE names: for each test of
// kortex-runtime-check something that it must notice (tests/plugins/sabotage_test.py).
#include "sabotaged.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <thread>

namespace sabotage {

bool is(const char* name) {
  static const char* const given = std::getenv("KORTEX_SABOTAGE");
  return given != nullptr && std::strcmp(given, name) == 0;
}

const kortex_plugin& honest() {
  static const kortex_plugin* const table = [] {
    void* library = ::dlopen(KORTEX_HONEST_RUNTIME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (library == nullptr) throw std::runtime_error(::dlerror());
    return reinterpret_cast<kortex_runtime_entry>(::dlsym(library, KORTEX_RUNTIME_ENTRY_NAME))(KORTEX_ABI_MINOR);
  }();
  return *table;
}

bool has_mark(const kortex_ref* ref, const char* name) { return ::access((std::string(ref->state_dir) + "/" + name).c_str(), F_OK) == 0; }

void mark(const kortex_ref* ref, const char* name) {
  const int fd = ::open((std::string(ref->state_dir) + "/" + name).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd >= 0) ::close(fd);
}

void unmark(const kortex_ref* ref, const char* name) { ::unlink((std::string(ref->state_dir) + "/" + name).c_str()); }

kortex_status refuse(const kortex_call* call, kortex_status code, const char* message) { return call->fail(call, code, message, nullptr, nullptr); }

namespace {

/// A call that emits what sabotage makes of it.
struct Twisted {
  explicit Twisted(const kortex_call* outer, std::string now) : original(outer), function(std::move(now)) {
    std::memcpy(&call, outer, sizeof call);
    call.ctx = this;
    call.emit = [](const kortex_call* self, const kortex_instance* given) { return of(self).emit(*given); };
    call.fail = [](const kortex_call* self, kortex_status code, const char* message, const char* hint, const char* detail) {
      const Twisted& twisted = of(self);
      if (is("fail-silently")) return code;
      if (is("fail-with-a-dot")) return twisted.original->fail(twisted.original, code, "it did not work.", hint, detail);
      if (is("fail-twice")) twisted.original->fail(twisted.original, code, message, hint, detail);
      return twisted.original->fail(twisted.original, code, message, hint, detail);
    };
    call.is_cancelled = [](const kortex_call* self) { return is("deaf") ? 0 : of(self).original->is_cancelled(of(self).original); };
    call.progress = [](const kortex_call* self, const char* phase, std::int64_t done, std::int64_t total, const char* message) {
      of(self).original->progress(of(self).original, phase, done, total, message);
    };
    call.output = [](const kortex_call* self, kortex_stream stream, const void* data, std::size_t size) {
      const std::int32_t cancelled = of(self).original->output(of(self).original, stream, data, size);
      return is("deaf") ? 0 : cancelled;
    };
    call.result = [](const kortex_call* self, const char* json) { of(self).original->result(of(self).original, json); };
    call.run = [](const kortex_call* self, const kortex_process* process, kortex_process_result* result) {
      return of(self).original->run(of(self).original, process, result);
    };
    if (is("deaf")) {
      call.cancel_fd = -1;
      call.deadline_ms = -1;
    }
    if (is("signals-lost")) call.signal_fd = -1;
    if (is("resizes-lost")) call.resize_fd = -1;
  }
  static Twisted& of(const kortex_call* self) { return *static_cast<Twisted*>(self->ctx); }

  std::int32_t emit(kortex_instance instance) {
    ++emitted;
    if (is("emits-nothing") && function == "create") return 0;
    if (is("inspects-one-only") && function == "inspect" && emitted > 1) return 0;
    if (is("emits-another-key") && function == "create") instance.key = "another";
    if (is("same-id-for-all")) instance.id = "the-same";
    static const std::string changing = std::to_string(::getpid());
    if (is("new-id-each-time") && function == "create") instance.id = changing.c_str();
    if (is("created-runs") && function == "create") instance.state = KORTEX_STATE_RUNNING;
    if (is("stopped-runs") && function == "stop") instance.state = KORTEX_STATE_RUNNING;
    if (is("always-runs") && instance.state == KORTEX_STATE_STOPPED && function == "inspect") instance.state = KORTEX_STATE_RUNNING;
    if (is("never-gone") && instance.state == KORTEX_STATE_GONE) instance.state = KORTEX_STATE_STOPPED;
    if (is("bad-utf8")) instance.status = "\xff\xfe";
    if (is("bad-exit-code")) instance.exit_code = 300;
    if (is("bad-details")) instance.details_json = "[1]";
    if (is("no-forwards")) instance.forward_count = 0;
    if (is("emits-twice") && function == "start") original->emit(original, &instance);
    return original->emit(original, &instance);
  }

  const kortex_call* original;
  std::string function;
  kortex_call call{};
  int emitted = 0;
};

/// What may be wrong in any operation, and leaves its effect as it is.
void misbehave(const kortex_call*) {
  if (is("chdir")) [[maybe_unused]] const int n = ::chdir("/tmp");
  if (is("setenv")) ::setenv("CHANGED", "yes", 1);
  if (is("umask")) ::umask(0);
  if (is("signal")) ::signal(SIGUSR1, SIG_IGN);
  if (is("locale")) std::setlocale(LC_ALL, "C.UTF-8");
  if (is("descriptor")) [[maybe_unused]] const int fd = ::open("/dev/null", O_RDONLY);
  if (is("prints-into-a-buffer")) std::fputs("hello", stdout);
  if (is("prints")) [[maybe_unused]] const ssize_t n = ::write(1, "hello\n", 6);
  if (is("thread")) std::thread([] { ::pause(); }).detach();
}

kortex_call kept_call;
const kortex_call* kept_pointer = nullptr;

}  // namespace

template <class Function>
kortex_status during(const kortex_call* call, const char* name, Function function) {
  misbehave(call);
  if (is("keeps-the-call")) kept_pointer = call;
  if (is("one-thread-only") && ::getpid() != static_cast<pid_t>(::syscall(SYS_gettid))) return refuse(call, KORTEX_E_INTERNAL, "not the main thread");
  Twisted twisted(call, name);
  return function(&twisted.call);
}

std::string keys_directory;

kortex_status open(const kortex_call* call, const kortex_open_args* args, const kortex_host* host, kortex_runtime** out) {
  keys_directory = std::string(host->state_dir) + "/keys";
  ::mkdir(keys_directory.c_str(), 0700);
  if (is("open-runs-a-program")) {
    const char* argv[] = {"true", nullptr};
    kortex_process process{};
    process.struct_size = sizeof process;
    process.argv = argv;
    process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
    (void)call->run(call, &process, nullptr);
  }
  if (is("open-is-slow")) ::usleep(100000);
  return honest().open(call, args, host, out);
}

void close(kortex_runtime* self) {
  if (kept_pointer != nullptr) std::memcpy(&kept_call, kept_pointer, sizeof kept_call);
  honest().close(self);
}

kortex_status probe(kortex_runtime*, const kortex_call* call) {
  if (is("probe-without-result")) return KORTEX_OK;
  if (is("unusable")) return refuse(call, KORTEX_E_UNAVAILABLE, "the daemon is not running");
  if (is("probe-crashes")) ::abort();
  call->result(call, is("probe-without-json") ? "fine" : "{\"backend\":\"the process runtime, sabotaged\"}");
  if (is("two-results")) call->result(call, "{\"backend\":\"again\"}");
  return KORTEX_OK;
}

kortex_status guarantees(kortex_runtime* self, const kortex_call* call, const kortex_workspace* workspace, kortex_guarantees* out) {
  // Ports and mounts that are claimed falsely must get past the honest one.
  kortex_workspace asked = *workspace;
  asked.network = KORTEX_NETWORK_ALLOW;
  const kortex_status status = honest().guarantees(self, call, &asked, out);
  if (is("claims-everything")) {
    out->isolation = KORTEX_ISOLATION_MICROVM;
    out->enforces = (1 << 14) - 1;
  }
  if (is("isolation-of-its-own")) out->isolation = 17;
  if (is("guarantees-of-its-own")) out->enforces |= 1ULL << 40;
  if (is("writes-beyond")) std::memset(out + 1, 0, 16);
  if (is("guarantees-leave-files")) {
    const std::string place = std::string(workspace->source_path) + "/../state/file";
    ::close(::open(place.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  }
  if (is("writes-into-arguments")) const_cast<kortex_workspace*>(workspace)->uid = 0;
  return status;
}

kortex_status create(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_create_args* args) {
  return during(call, "create", [&](const kortex_call* twisted) -> kortex_status {
    if (is("frozen-structs") && args->struct_size != sizeof *args) return refuse(call, KORTEX_E_INVALID, "an unknown structure");
    if (is("exists-for-ever") && has_mark(ref, "was-here")) return refuse(call, KORTEX_E_EXISTS, "it was here");
    if (is("short-directories-only") && std::strlen(ref->state_dir) > 107) return refuse(call, KORTEX_E_INVALID, "the path is too long");
    if (is("exists-for-ever")) mark(ref, "was-here");
    kortex_create_args own = *args;
    kortex_workspace workspace = *args->workspace;
    workspace.network = KORTEX_NETWORK_ALLOW;
    if (is("claims-everything")) workspace.memory_bytes = workspace.processes = workspace.cpus_milli = 0;
    own.workspace = &workspace;
    const int fd = ::open((keys_directory + "/" + ref->key).c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    [[maybe_unused]] const ssize_t n = ::write(fd, ref->state_dir, std::strlen(ref->state_dir));
    ::close(fd);
    return honest().create(self, twisted, ref, &own);
  });
}

kortex_status remove(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_remove_args* args) {
  return during(call, "remove", [&](const kortex_call* twisted) -> kortex_status {
    if (is("removes-nothing")) return KORTEX_OK;
    if (is("missing-is-an-error") && !has_mark(ref, "instance")) return refuse(call, KORTEX_E_NOT_FOUND, "there is none");
    kortex_remove_args own = *args;
    if (is("always-by-force")) own.flags = KORTEX_REMOVE_FORCE;
    if (is("never-by-force")) own.flags = 0;
    if (!is("lists-the-removed")) ::unlink((keys_directory + "/" + ref->key).c_str());
    return honest().remove(self, twisted, ref, &own);
  });
}

kortex_status stop(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_stop_args* args) {
  return during(call, "stop", [&](const kortex_call* twisted) -> kortex_status {
    if (is("stops-once") && has_mark(ref, "stopped")) return refuse(call, KORTEX_E_STATE, "it is stopped");
    if (is("stops-once")) mark(ref, "stopped");
    kortex_stop_args own = *args;
    if (is("always-kills")) kill_main_process(self, call, ref);
    if (is("never-kills")) {
      own.flags = 0;
      own.grace_ms = 600000;
    }
    return honest().stop(self, twisted, ref, &own);
  });
}

kortex_status inspect(kortex_runtime* self, const kortex_call* call, const kortex_ref* const* refs, std::size_t count) {
  static std::atomic<int> at_work{0};
  return during(call, "inspect", [&](const kortex_call* twisted) -> kortex_status {
    if (is("not-concurrent")) {
      if (++at_work > 1) return refuse(call, KORTEX_E_BUSY, "one at a time");
      ::usleep(1000);
    }
    if (is("needs-one") && count == 0) return refuse(call, KORTEX_E_INVALID, "nothing to inspect");
    if (is("needs-the-id") && count == 1 && refs[0]->id == nullptr) {
      kortex_instance gone{};
      gone.struct_size = sizeof gone;
      gone.key = gone.id = refs[0]->key;
      gone.state = KORTEX_STATE_GONE;
      return call->emit(call, &gone);
    }
    const kortex_status status = honest().inspect(self, twisted, refs, count);
    --at_work;
    return status;
  });
}

kortex_status list(kortex_runtime* self, const kortex_call* call) {
  return during(call, "list", [&](const kortex_call* twisted) -> kortex_status {
    const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir(keys_directory.c_str()), ::closedir);
    for (const dirent* entry = nullptr; directory && (entry = ::readdir(directory.get())) != nullptr;) {
      if (entry->d_name[0] == '.') continue;
      std::array<char, 4096> place{};
      const int fd = ::open((keys_directory + "/" + entry->d_name).c_str(), O_RDONLY | O_CLOEXEC);
      [[maybe_unused]] const ssize_t n = ::read(fd, place.data(), place.size() - 1);
      ::close(fd);
      kortex_ref ref{};
      ref.struct_size = sizeof ref;
      ref.key = ref.id = ref.name = entry->d_name;
      ref.state_dir = place.data();
      const kortex_ref* refs[] = {&ref};
      if (is("lists-half") && entry->d_name[std::strlen(entry->d_name) - 1] == '1') continue;
      if (const kortex_status status = honest().inspect(self, twisted, refs, 1); status != KORTEX_OK) return status;
    }
    return KORTEX_OK;
  });
}

kortex_status start(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_start_args* args) {
  return during(call, "start", [&](const kortex_call* twisted) { return start_agent(self, call, twisted, ref, args); });
}

kortex_status exec(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_exec_args* args, kortex_exit* out) {
  return during(call, "exec", [&](const kortex_call* twisted) { return run_program(self, twisted, ref, args, out); });
}

kortex_status terminal(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_exec_args* args, kortex_exit* out) {
  return during(call, "terminal", [&](const kortex_call* twisted) { return show_session(self, twisted, ref, args, out); });
}

kortex_status logs(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_logs_args* args) {
  return during(call, "logs", [&](const kortex_call* twisted) { return show_logs(self, twisted, ref, args); });
}

kortex_status wait(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, kortex_exit* out) {
  return during(call, "wait", [&](const kortex_call* twisted) { return await_end(self, twisted, ref, out); });
}

}  // namespace sabotage

KORTEX_RUNTIME_NOTE("sabotaged", "1.2.3", "honest but for one thing");

extern "C" const kortex_plugin* KORTEX_RUNTIME_ENTRY(std::uint32_t) {
  static const kortex_plugin table = [] {
    kortex_plugin out = sabotage::honest();
    out.name = "sabotaged";
    out.version = "1.2.3";
    out.summary = "honest but for one thing";
    if (sabotage::is("concurrent") || sabotage::is("not-concurrent")) out.capabilities = KORTEX_CAP_CONCURRENT;
    out.open = sabotage::open;
    out.close = sabotage::close;
    out.probe = sabotage::probe;
    out.guarantees = sabotage::guarantees;
    out.create = sabotage::create;
    out.start = sabotage::start;
    out.stop = sabotage::stop;
    out.remove = sabotage::remove;
    out.inspect = sabotage::inspect;
    out.list = sabotage::list;
    out.exec = sabotage::exec;
    out.terminal = sabotage::terminal;
    out.logs = sabotage::logs;
    out.wait = sabotage::wait;
    return out;
  }();
  return &table;
}
