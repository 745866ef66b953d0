// A plugin that does in its functions what its option `fault` says.
#include <fcntl.h>
#include <kortex/runtime.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

KORTEX_RUNTIME_NOTE(PLUGIN_NAME, "1.2.3", "misbehaves as it is told");

namespace {

std::string g_fault;

kortex_status emit_as(const kortex_call* call, const char* key, kortex_state state, const char* status = nullptr,
                      const char* details = nullptr) {
  kortex_instance instance{};
  instance.struct_size = sizeof instance;
  instance.state = state;
  instance.key = key;
  instance.id = "an-id";
  instance.status = status;
  instance.exit_code = -1;
  instance.details_json = details;
  return call->emit(call, &instance) != 0 ? KORTEX_E_CANCELLED : KORTEX_OK;
}

/// Tells the test that the fault has begun.
void announce(const kortex_call* call) { call->host->log(call->host, KORTEX_LOG_INFO, "at it"); }

/// Not the sanitizer's abort, which exits: a signal.
__attribute__((no_sanitize("undefined", "address"))) void crash() {
  volatile int* nowhere = nullptr;
  *nowhere = 1;  // NOLINT: what this plugin is for
}

void throw_it() { throw std::runtime_error("dear me"); }
void throw_past_noexcept() noexcept { throw_it(); }  // NOLINT: for this, too

kortex_status misbehave(const kortex_call* call, const char* key) {
  const std::string& fault = g_fault;
  if (fault == "throw") throw std::runtime_error("oh dear");
  if (fault == "throw-int") throw 7;
  if (fault == "throw-past-noexcept") throw_past_noexcept();
  if (fault == "exit") ::exit(0);
  if (fault == "abort") ::abort();
  if (fault == "crash") {
    ::write(STDERR_FILENO, "last words\n", 11) == 11 ? crash() : ::abort();
  }
  if (fault == "killed") ::raise(SIGKILL);
  if (fault == "silent-error") return 5;
  if (fault == "not-found") return call->fail(call, KORTEX_E_NOT_FOUND, "no image 'x'", "pull it", "404");
  if (fault == "unavailable") return call->fail(call, KORTEX_E_UNAVAILABLE, "not\nrunning\x1b[31m", nullptr, "raw\r\r\ntext");
  if (fault == "none") return KORTEX_OK;
  if (fault == "two") {
    emit_as(call, key, KORTEX_STATE_CREATED);
    return emit_as(call, key, KORTEX_STATE_CREATED);
  }
  if (fault == "other-key") return emit_as(call, "other", KORTEX_STATE_CREATED);
  if (fault == "garbage") {
    const std::string huge(1 << 20, 'x');
    return emit_as(call, key, 4711, ("bell\a esc\x1b[2J bad\xff\xc3 c1\xc2\x9b ok\xc3\xa9 " + huge).c_str(), "[1, 2");
  }
  if (fault.rfind("kills-", 0) == 0) {
    // As a wild pointer might: in the host's name, on each pipe there is, "a program was started", group by group.
    const long long group = std::stoll(fault.substr(6));
    char frame[13] = {8, 0, 0, 0, 12};
    memcpy(frame + 5, &group, sizeof group);
    for (int fd = 3; fd < 64; ++fd) {
      struct stat status {};
      if (::fstat(fd, &status) == 0 && S_ISFIFO(status.st_mode) && (::fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY && ::write(fd, frame, sizeof frame) < 0) ::abort();
    }
    return emit_as(call, key, KORTEX_STATE_CREATED);
  }
  if (fault == "null-emit") return call->emit(call, nullptr) != 0 ? KORTEX_E_INTERNAL : KORTEX_OK;
  if (fault == "prints") {
    ::puts("to stdout");
    ::fflush(stdout);
    return emit_as(call, key, KORTEX_STATE_CREATED);
  }
  if (fault == "hang") {
    announce(call);
    pollfd poll{call->cancel_fd, POLLIN, 0};
    while (::poll(&poll, 1, -1) < 0) {}
    return KORTEX_E_CANCELLED;
  }
  if (fault == "deaf") {
    announce(call);
    for (;;) ::pause();
  }
  if (fault == "run-forever") {
    announce(call);
    const char* argv[] = {"sleep", "1000", nullptr};
    kortex_process process{};
    process.struct_size = sizeof process;
    process.argv = argv;
    process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
    return call->run(call, &process, nullptr);
  }
  if (fault == "not-installed") {
    const char* argv[] = {"no-such-program-anywhere", nullptr};
    kortex_process process{};
    process.struct_size = sizeof process;
    process.argv = argv;
    process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
    return call->run(call, &process, nullptr);
  }
  return emit_as(call, key, KORTEX_STATE_CREATED, "fine", "{\"a\": 1}");
}

extern "C" {
static kortex_status open_it(const kortex_call*, const kortex_open_args* args, const kortex_host*, kortex_runtime** out) {
  for (uint32_t i = 0; i < args->option_count; ++i)
    if (!::strcmp(args->options[i].key, "fault")) g_fault = args->options[i].value;
  if (g_fault == "crash-in-open") crash();
  *out = nullptr;
  return KORTEX_OK;
}
static void close_it(kortex_runtime*) {
  if (g_fault == "crash-in-close") ::abort();
}
static kortex_status probe(kortex_runtime*, const kortex_call* call) {
  return g_fault.empty() ? KORTEX_OK : misbehave(call, "probe");
}
static kortex_status guarantees(kortex_runtime*, const kortex_call* call, const kortex_workspace*, kortex_guarantees* out) {
  out->isolation = 25;
  out->enforces = KORTEX_GUARANTEE_TTY;
  call->result(call, "{\"exposure\": [\"the \\u001b[31mnetwork\", 7]}");
  return KORTEX_OK;
}
static kortex_status create(kortex_runtime*, const kortex_call* call, const kortex_ref* ref, const kortex_create_args*) {
  return misbehave(call, ref->key);
}
static kortex_status start(kortex_runtime*, const kortex_call* call, const kortex_ref* ref, const kortex_start_args*) {
  return misbehave(call, ref->key);
}
static kortex_status stop(kortex_runtime*, const kortex_call* call, const kortex_ref* ref, const kortex_stop_args*) {
  return misbehave(call, ref->key);
}
static kortex_status remove_it(kortex_runtime*, const kortex_call* call, const kortex_ref* ref, const kortex_remove_args*) {
  return misbehave(call, ref->key);
}
static kortex_status inspect(kortex_runtime*, const kortex_call* call, const kortex_ref* const* refs, size_t count) {
  for (size_t i = 0; i < count; ++i) {
    if (i == 2 && (g_fault == "forget" || g_fault == "crash-in-the-middle")) break;
    if (emit_as(call, refs[i]->key, KORTEX_STATE_RUNNING) != KORTEX_OK) return KORTEX_E_CANCELLED;
  }
  if (g_fault == "crash-in-the-middle") crash();
  if (g_fault == "surplus") return emit_as(call, "surplus", KORTEX_STATE_RUNNING);
  if (g_fault == "deaf") return misbehave(call, "inspect");
  return KORTEX_OK;
}
static kortex_status exec_it(kortex_runtime*, const kortex_call* call, const kortex_ref*, const kortex_exec_args* args,
                             kortex_exit* out) {
  if (g_fault == "one-signal") {
    announce(call);
    unsigned char number = 0;
    pollfd poll{call->signal_fd, POLLIN, 0};
    while (::poll(&poll, 1, -1) < 0) {}
    if (::read(call->signal_fd, &number, 1) != 1) return KORTEX_E_INTERNAL;
    out->code = 128 + number;
    return KORTEX_OK;
  }
  kortex_process process{};
  process.struct_size = sizeof process;
  process.argv = args->argv;
  process.flags = KORTEX_RUN_FOREGROUND;
  process.stdin_fd = args->stdin_fd;
  process.stdout_fd = args->stdout_fd;
  process.stderr_fd = args->stderr_fd;
  kortex_process_result result{};
  result.struct_size = sizeof result;
  const kortex_status status = call->run(call, &process, &result);
  out->code = result.exit_code;
  return status;
}
static kortex_status logs(kortex_runtime*, const kortex_call* call, const kortex_ref*, const kortex_logs_args*) {
  const std::string line(1000, 'l');
  for (int i = 0; i < 10000; ++i)
    if (call->output(call, KORTEX_STREAM_STDOUT, line.data(), line.size()) != 0) return KORTEX_E_CANCELLED;
  return KORTEX_OK;
}
}

const kortex_option fault_option = [] {
  kortex_option option{};
  option.struct_size = sizeof option;
  option.type = KORTEX_OPT_STRING;
  option.flags = KORTEX_OPT_GLOBAL;
  option.name = "fault";
  option.help = "what to do wrong";
  return option;
}();
const kortex_option* const options[] = {&fault_option, nullptr};

const kortex_plugin table = [] {
  kortex_plugin plugin{};
  plugin.struct_size = sizeof plugin;
  plugin.abi_major = KORTEX_ABI_MAJOR;
  plugin.abi_minor = KORTEX_ABI_MINOR;
  plugin.name = PLUGIN_NAME;
  plugin.version = "1.2.3";
  plugin.summary = "misbehaves as it is told";
  plugin.options = options;
  plugin.open = open_it;
  plugin.close = close_it;
  plugin.probe = probe;
  plugin.guarantees = guarantees;
  plugin.create = create;
  plugin.start = start;
  plugin.stop = stop;
  plugin.remove = remove_it;
  plugin.inspect = inspect;
  plugin.exec = exec_it;
  plugin.logs = logs;
  return plugin;
}();

}  // namespace

extern "C" const kortex_plugin* KORTEX_RUNTIME_ENTRY(uint32_t) { return &table; }
