// What sabotage does to the agent, to programs and to sessions.
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <vector>

#include "sabotaged.hpp"

namespace sabotage {
namespace {

struct Seen {
  kortex_state state = KORTEX_STATE_UNKNOWN;
  std::int64_t pid = 0;
};

Seen look(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref) {
  kortex_call quiet = *call;
  Seen seen;
  quiet.ctx = &seen;
  quiet.emit = [](const kortex_call* own, const kortex_instance* instance) {
    *static_cast<Seen*>(own->ctx) = {instance->state, instance->pid};
    return 0;
  };
  const kortex_ref* refs[] = {ref};
  return honest().inspect(self, &quiet, refs, 1) == KORTEX_OK ? seen : Seen{};
}

bool is_running(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref) {
  return look(self, call, ref).state == KORTEX_STATE_RUNNING;
}

/// Until cancelled, which the host notices at the latest when the test's time is over.
kortex_status hang(const kortex_call* call) {
  pollfd poll{call->cancel_fd, POLLIN, 0};
  ::poll(&poll, 1, -1);
  return KORTEX_E_CANCELLED;
}

}  // namespace

void kill_main_process(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref) {
  const Seen seen = look(self, call, ref);
  if (seen.state == KORTEX_STATE_RUNNING && seen.pid > 0) ::kill(static_cast<pid_t>(seen.pid), SIGKILL);
}

kortex_status start_agent(kortex_runtime* self, const kortex_call* call, const kortex_call* twisted, const kortex_ref* ref, const kortex_start_args* args) {
  if (is("starts-what-is-gone") && !has_mark(ref, "instance")) return KORTEX_OK;
  if (is("starts-once") && has_mark(ref, "started")) return refuse(call, KORTEX_E_STATE, "it was started before");
  if (is("starts-once")) mark(ref, "started");
  if (is("refuses-a-running-one") && is_running(self, call, ref)) return refuse(call, KORTEX_E_STATE, "it runs");
  if (is("leaves-a-lock")) {
    if (has_mark(ref, "lock")) return refuse(call, KORTEX_E_BUSY, "somebody else is starting it");
    mark(ref, "lock");
    ::usleep(300000);
  }
  if (is("cancelled-is-an-error") && call->is_cancelled(call) != 0) return refuse(call, KORTEX_E_INTERNAL, "what is this");
  if (is("loses-what-is-cancelled")) {
    pollfd poll{call->cancel_fd, POLLIN, 0};
    if (::poll(&poll, 1, 50) > 0) {
      mark(ref, "broken");
      return KORTEX_E_CANCELLED;
    }
    if (has_mark(ref, "broken")) return refuse(call, KORTEX_E_FAILED, "it is broken");
  }
  if (is("stores-secrets")) {
    const std::string file = std::string(ref->state_dir) + "/environment";
    const int fd = ::open(file.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (const char* const* entry = args->env; *entry != nullptr; ++entry) [[maybe_unused]] const ssize_t n = ::write(fd, *entry, std::strlen(*entry));
    ::close(fd);
  }
  kortex_start_args own = *args;
  kortex_workspace workspace = *args->workspace;
  own.workspace = &workspace;
  std::vector<const char*> argv;
  for (const char* const* word = workspace.agent_argv; *word != nullptr; ++word)
    if (!is("drops-empty-arguments") || **word != '\0') argv.push_back(*word);
  if (is("connects-elsewhere") && argv.size() > 3 && std::strcmp(argv[3], "connect") == 0) argv.back() = "1";
  // Sources of its own, which nobody else sees.
  const std::string elsewhere = std::string(ref->state_dir) + "/copy";
  if (is("copies-the-sources") && argv.size() > 2) {
    ::mkdir(elsewhere.c_str(), 0700);
    argv[2] = elsewhere.c_str();
  }
  argv.push_back(nullptr);
  workspace.agent_argv = argv.data();
  static const char* const nothing[] = {nullptr};
  if (is("drops-the-environment")) own.env = nothing;
  workspace.network = KORTEX_NETWORK_ALLOW;
  if (is("claims-everything")) workspace.memory_bytes = workspace.processes = workspace.cpus_milli = 0;
  if (is("runs-elsewhere")) workspace.source_path = workspace.target_path = "/tmp";
  const kortex_status status = honest().start(self, twisted, ref, &own);
  if (is("leaves-a-lock")) unmark(ref, "lock");
  if (is("hides-that-it-failed") && status != KORTEX_OK) {
    kortex_instance instance{};
    instance.struct_size = sizeof instance;
    instance.key = instance.id = ref->key;
    instance.state = KORTEX_STATE_RUNNING;
    return call->emit(call, &instance) == 0 ? KORTEX_OK : KORTEX_E_CANCELLED;
  }
  return status;
}

kortex_status run_program(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_exec_args* args, kortex_exit* out) {
  if (is("runs-where-nothing-runs") && !is_running(self, call, ref)) return KORTEX_OK;
  kortex_exec_args own = *args;
  if (is("mixes-streams")) own.stderr_fd = own.stdout_fd;
  if (is("drops-input")) own.stdin_fd = -1;
  if (is("drops-the-arguments") && own.argv[1] != nullptr && std::strcmp(own.argv[1], "args") == 0) {
    static const char* words[] = {nullptr, "args", nullptr};
    words[0] = own.argv[0];
    own.argv = words;
  }
  if (is("runs-in-the-root")) own.cwd = "/";
  if (is("sizes-lost")) own.rows = 10, own.cols = 10;
  if (is("no-terminal")) own.flags = 0;
  int ends[2] = {-1, -1};
  if (is("never-ends-input") && ::pipe2(ends, O_CLOEXEC) == 0) own.stdin_fd = ends[0];
  if (is("leaves-programs")) {
    const pid_t child = ::fork();
    if (child == 0) {
      ::setsid();
      ::execv(own.argv[0], const_cast<char* const*>(own.argv));
      ::_exit(127);
    }
    int status = 0;
    for (;;) {
      pollfd poll{call->cancel_fd, POLLIN, 0};
      if (::poll(&poll, 1, 20) > 0) return KORTEX_E_CANCELLED;
      if (::waitpid(child, &status, WNOHANG) == child) break;
    }
    out->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return KORTEX_OK;
  }
  const kortex_status status = honest().exec(self, call, ref, &own, out);
  if (is("loses-statuses") && out->code > 1) out->code = 1;
  if (is("program-gone-is-instance-gone") && out->code == 127) return refuse(call, KORTEX_E_NOT_FOUND, "there is no such program");
  return status;
}

kortex_status show_session(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_exec_args* args, kortex_exit* out) {
  if (is("shows-nothing")) return KORTEX_OK;
  kortex_exec_args own = *args;
  if (is("cannot-be-left")) own.detach_keys = nullptr;
  if (is("restarts-for-each")) {
    // The agent is begun anew for whoever comes.
    if (has_mark(ref, "entered")) {
      const std::string started = "started";
      kortex_call quiet = *call;
      quiet.emit = [](const kortex_call*, const kortex_instance*) { return 0; };
      kortex_stop_args stop{};
      stop.struct_size = sizeof stop;
      stop.flags = KORTEX_STOP_KILL;
      (void)honest().stop(self, &quiet, ref, &stop);
    }
    mark(ref, "entered");
  }
  if (is("one-viewer-only")) {
    const int lock = ::open((std::string(ref->state_dir) + "/viewer").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) return refuse(call, KORTEX_E_BUSY, "somebody looks already");
  }
  const kortex_status status = honest().terminal(self, call, ref, &own, out);
  if (is("session-status-lost")) out->code = 0;
  if (is("stop-is-a-detach") && own.argv == nullptr) out->how = KORTEX_END_DETACHED;
  if (is("goes-on-when-stopped") && own.argv == nullptr) return hang(call);
  return status;
}

kortex_status show_logs(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, const kortex_logs_args* args) {
  const bool running = is_running(self, call, ref);
  if (is("logs-of-the-running-only") && !running) return refuse(call, KORTEX_E_STATE, "it does not run");
  if (is("forgets-logs") && !running) return KORTEX_OK;
  kortex_logs_args own = *args;
  if (is("ignores-tail")) own.tail = -1;
  if (is("does-not-follow")) own.flags = 0;
  return honest().logs(self, call, ref, &own);
}

kortex_status await_end(kortex_runtime* self, const kortex_call* call, const kortex_ref* ref, kortex_exit* out) {
  if (is("waits-for-ever")) return hang(call);
  if (is("waits-where-nothing-runs") && !is_running(self, call, ref)) return hang(call);
  const kortex_status status = honest().wait(self, call, ref, out);
  if (is("wait-loses-the-status")) out->code = 0;
  return status;
}

}  // namespace sabotage
