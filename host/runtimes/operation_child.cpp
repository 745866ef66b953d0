#include "runtimes/operation_child.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <system_error>

#include "runtimes/loader.hpp"
#include "runtimes/workspace_args.hpp"
#include "system/files.hpp"

namespace kortex::host {
namespace {

/// How long a plugin may take to give up when the command that asked has died.
constexpr unsigned orphan_seconds = 5;

volatile sig_atomic_t orphan_parent = 0;
volatile sig_atomic_t orphan_cancel_fd = -1;

void on_parent_death() {
  const int error = errno;
  [[maybe_unused]] const ssize_t n = ::write(orphan_cancel_fd, "", 1);
  ::alarm(orphan_seconds);
  errno = error;
}

extern "C" {
/// SIGTERM also comes to the whole process group; the parent decides what that means for us.
static void on_terminate(int) {
  if (::getppid() != orphan_parent) on_parent_death();
}
static void on_ignored(int) {}
}

void set_handler(int signal, void (*handler)(int)) {
  struct sigaction action {};
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(signal, &action, nullptr);
}

void set_signals(const ChildStart& start) {
  orphan_parent = start.parent;
  orphan_cancel_fd = start.cancel_write_fd;
  // Handlers that do nothing rather than SIG_IGN: programs that the plugin starts do not inherit them.
  for (const int signal : {SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH}) set_handler(signal, on_ignored);
  set_handler(SIGTERM, on_terminate);
  // A backend that closes its socket is an error for the plugin to report.
  set_handler(SIGPIPE, SIG_IGN);
  // A sanitizer's or the command line's own handlers must not turn a crash into something else.
  for (const int signal : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS, SIGTRAP, SIGALRM, SIGCHLD})
    set_handler(signal, SIG_DFL);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  ::sigprocmask(SIG_SETMASK, &start.signal_mask, nullptr);
  if (::getppid() != start.parent) on_parent_death();
}

/// 0 is empty; 1 and 2 are the noise pipe: our stdout is the answer of a command, not a plugin's to write to.
void set_streams(int noise_fd) {
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(null, STDIN_FILENO);
  ::dup2(noise_fd, STDOUT_FILENO);
  ::dup2(noise_fd, STDERR_FILENO);
  if (null > STDERR_FILENO) ::close(null);
}

/// Host and plugin are linked with an unwinder each. An exception of the plugin is thrown by its own but finds its handler
/// here with the help of ours, which has its tables only after its first use.
void prepare_to_catch() {
  try {
    throw 0;
  } catch (int) {
  }
}

void perform(const OperationSpec& spec, ChildCall& child) {
  child.stage("load");
  // Again: the file may have been replaced since it was found.
  const PluginFile file = examine(spec.file->path, spec.file->origin);
  if (!file.loadable())
    throw Error(ErrorKind::no_runtime,
                "cannot use runtime '" + spec.file->name + "' from '" + file.path.string() + "': " + file.refusal, file.hint);
  for (const std::string* directory :
       {&spec.context->state_dir, &spec.context->cache_dir, &spec.context->runtime_dir}) {
    try {
      if (!directory->empty()) make_private_directories(*directory);
    } catch (const std::system_error& error) {
      throw Error(ErrorKind::failed, "cannot create directory '" + *directory + "': " + reason_of(error.code().value()));
    }
  }
  const kortex_plugin& plugin = load_plugin(file);
  const std::optional<KeyValues> global = spec.global_options ? spec.global_options(plugin) : KeyValues();
  if (!global) {
    child.done(spec.body({plugin, nullptr, child, child.call()}));
    return;
  }
  child.stage("open");
  const KeyValueArray options(*global);
  kortex_open_args args{};
  args.struct_size = sizeof args;
  args.option_count = options.size();
  args.options = options.data();
  kortex_runtime* runtime = nullptr;
  if (const kortex_status status = plugin.open(child.call(), &args, child.host(), &runtime); status != KORTEX_OK) {
    child.done(status);
    return;
  }
  child.stage(spec.function);
  child.done(spec.body({plugin, runtime, child, child.call()}));
  child.stage("close");
  plugin.close(runtime);
}

}  // namespace

void run_child(const OperationSpec& spec, const ChildStart& start) {
  set_streams(start.noise_fd);
  set_signals(start);
  ChildCall child(start.call);
  prepare_to_catch();
  try {
    perform(spec, child);
  } catch (const Error& error) {
    child.error(error);
  } catch (const std::exception& error) {
    child.threw(error.what());
  } catch (...) {
    child.threw("");
  }
  // Not exit(): what the parent registered for its own end is the parent's.
  ::_exit(0);
}

}  // namespace kortex::host
