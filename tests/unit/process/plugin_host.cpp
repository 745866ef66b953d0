#include "plugin_host.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>

#include <kortex/fd.hpp>

namespace kortex::test {

namespace {

std::string text_of(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  ::lseek(fd, 0, SEEK_SET);
  for (ssize_t size = 0; (size = ::read(fd, buffer.data(), buffer.size())) > 0;) text.append(buffer.data(), static_cast<std::size_t>(size));
  return text;
}

Fd memory() { return Fd(::memfd_create("test", MFD_CLOEXEC)); }

int run(const char* const* argv, int out, int err) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(out, 1);
    ::dup2(err, 2);
    ::execvp(argv[0], const_cast<char* const*>(argv));
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

bool bubblewrap_works() {
  const char* argv[] = {"bwrap", "--unshare-user", "--disable-userns", "--unshare-pid", "--ro-bind", "/", "/", "--proc", "/proc",
                        "/usr/bin/env", "true", nullptr};
  const Fd ignored = memory();
  const bool works = run(argv, ignored.get(), ignored.get()) == 0;
  if (!works) BOOST_TEST_MESSAGE("skipped: bubblewrap makes no sandbox on this machine: " << text_of(ignored.get()));
  return works;
}

struct PluginHost::Services {
  static PluginHost& self(const kortex_call* call) { return *static_cast<PluginHost*>(call->ctx); }
  static kortex_status fail(const kortex_call* call, kortex_status code, const char* message, const char* hint, const char* detail) {
    self(call).message = message;
    self(call).hint = hint != nullptr ? hint : "";
    if (detail != nullptr) BOOST_TEST_MESSAGE("detail: " << detail);
    return code;
  }
  static std::int32_t is_cancelled(const kortex_call*) { return 0; }
  static void progress(const kortex_call*, const char*, std::int64_t, std::int64_t, const char*) {}
  static std::int32_t emit(const kortex_call* call, const kortex_instance* instance) {
    PluginHost& host = self(call);
    host.last_state = instance->state;
    host.last_exit = instance->exit_code;
    host.last_pid = instance->pid;
    host.last_status = instance->status != nullptr ? instance->status : "";
    return 0;
  }
  static std::int32_t output(const kortex_call* call, kortex_stream, const void* data, std::size_t size) {
    self(call).out.append(static_cast<const char*>(data), size);
    return 0;
  }
  static void result(const kortex_call* call, const char* json) { self(call).result = json; }
  static kortex_status run_program(const kortex_call* call, const kortex_process* process, kortex_process_result* out) {
    PluginHost& host = self(call);
    const Fd written = memory(), errors = memory();
    out->exit_code = run(process->argv, written.get(), errors.get());
    host.m_run_out = text_of(written.get());
    host.m_run_err = text_of(errors.get());
    out->out = host.m_run_out.c_str();
    out->out_size = host.m_run_out.size();
    out->err = host.m_run_err.c_str();
    out->err_size = host.m_run_err.size();
    return KORTEX_OK;
  }
  static void log(const kortex_host*, kortex_log_level, const char*) {}
};

PluginHost::PluginHost(const std::string& key) : m_key(key) {
  source = path("sources");
  m_state = path("store/workspaces/" + key + "/runtime");
  m_plugin_dir = path("store/runtimes/process");
  for (const std::string& directory : {source, m_state, m_plugin_dir}) std::filesystem::create_directories(directory);

  m_host.struct_size = sizeof m_host;
  m_host.abi_major = KORTEX_ABI_MAJOR;
  m_host.name = "test";
  m_host.version = "0";
  m_host.state_dir = m_host.cache_dir = m_host.runtime_dir = m_plugin_dir.c_str();
  m_host.session_program = KORTEX_SESSION_PROGRAM;
  m_host.log = Services::log;
  m_call.struct_size = sizeof m_call;
  m_call.host = &m_host;
  m_call.ctx = this;
  m_call.deadline_ms = -1;
  m_call.cancel_fd = m_call.resize_fd = m_call.signal_fd = -1;
  m_call.fail = Services::fail;
  m_call.is_cancelled = Services::is_cancelled;
  m_call.progress = Services::progress;
  m_call.emit = Services::emit;
  m_call.output = Services::output;
  m_call.result = Services::result;
  m_call.run = Services::run_program;
  m_ref.struct_size = sizeof m_ref;
  m_ref.key = m_ref.id = m_ref.name = m_key.c_str();
  m_ref.state_dir = m_state.c_str();

  void* library = ::dlopen(KORTEX_PROCESS_RUNTIME, RTLD_NOW | RTLD_LOCAL);
  BOOST_REQUIRE_MESSAGE(library != nullptr, ::dlerror());
  const auto entry = reinterpret_cast<kortex_runtime_entry>(::dlsym(library, KORTEX_RUNTIME_ENTRY_NAME));
  BOOST_REQUIRE(entry != nullptr);
  m_plugin = entry(KORTEX_ABI_MINOR);
  kortex_open_args args{};
  args.struct_size = sizeof args;
  BOOST_REQUIRE_EQUAL(m_plugin->open(&m_call, &args, &m_host, &m_runtime), KORTEX_OK);
}

PluginHost::~PluginHost() {
  remove(KORTEX_REMOVE_FORCE);
  m_plugin->close(m_runtime);
}

void PluginHost::mount(const std::string& host_path, const std::string& target, std::uint32_t flags) {
  m_mount_paths.emplace_back(host_path, target);
  kortex_mount mount{};
  mount.struct_size = sizeof mount;
  mount.flags = flags;
  m_mounts.push_back(mount);
}

void PluginHost::port(std::uint16_t target, std::uint16_t host_port) {
  kortex_port port{};
  port.struct_size = sizeof port;
  port.target = target;
  port.host_port = host_port;
  m_ports.push_back(port);
}

void PluginHost::fill() {
  message.clear();
  hint.clear();
  out.clear();
  m_workspace = {};
  m_workspace.struct_size = sizeof m_workspace;
  m_option = {"sandbox", sandbox.c_str()};
  m_workspace.options = &m_option;
  m_workspace.option_count = 1;
  m_workspace.source_path = m_workspace.target_path = source.c_str();
  m_workspace.agent_name = "test";
  m_argv.clear();
  for (const std::string& argument : agent) m_argv.push_back(argument.c_str());
  m_argv.push_back(nullptr);
  m_workspace.agent_argv = m_argv.data();
  m_workspace.network = network;
  m_mount_pointers.clear();
  for (std::size_t i = 0; i < m_mounts.size(); ++i) {
    m_mounts[i].host_path = m_mount_paths[i].first.c_str();
    m_mounts[i].target = m_mount_paths[i].second.c_str();
    m_mount_pointers.push_back(&m_mounts[i]);
  }
  m_workspace.mounts = m_mount_pointers.data();
  m_workspace.mount_count = static_cast<std::uint32_t>(m_mounts.size());
  m_port_pointers.clear();
  for (const kortex_port& port : m_ports) m_port_pointers.push_back(&port);
  m_workspace.ports = m_port_pointers.data();
  m_workspace.port_count = static_cast<std::uint32_t>(m_ports.size());
}

kortex_status PluginHost::guarantees(kortex_guarantees& given) {
  fill();
  given = {};
  given.struct_size = sizeof given;
  return m_plugin->guarantees(m_runtime, &m_call, &m_workspace, &given);
}

kortex_status PluginHost::create() {
  fill();
  kortex_create_args args{};
  args.struct_size = sizeof args;
  args.workspace = &m_workspace;
  return m_plugin->create(m_runtime, &m_call, &m_ref, &args);
}

kortex_status PluginHost::start() {
  fill();
  const char* env[] = {"GIVEN=yes", nullptr};
  kortex_start_args args{};
  args.struct_size = sizeof args;
  args.workspace = &m_workspace;
  args.env = env;
  return m_plugin->start(m_runtime, &m_call, &m_ref, &args);
}

kortex_status PluginHost::stop(int grace_ms) {
  fill();
  kortex_stop_args args{};
  args.struct_size = sizeof args;
  args.grace_ms = grace_ms;
  return m_plugin->stop(m_runtime, &m_call, &m_ref, &args);
}

kortex_status PluginHost::remove(std::uint32_t flags) {
  fill();
  kortex_remove_args args{};
  args.struct_size = sizeof args;
  args.flags = flags;
  return m_plugin->remove(m_runtime, &m_call, &m_ref, &args);
}

kortex_status PluginHost::wait(int& code) {
  fill();
  kortex_exit end{};
  end.struct_size = sizeof end;
  const kortex_status status = m_plugin->wait(m_runtime, &m_call, &m_ref, &end);
  code = end.code;
  return status;
}

kortex_state PluginHost::inspect() {
  fill();
  const kortex_ref* refs[] = {&m_ref};
  BOOST_REQUIRE_EQUAL(m_plugin->inspect(m_runtime, &m_call, refs, 1), KORTEX_OK);
  return last_state;
}

int PluginHost::exec(const std::string& command, std::string& output) {
  fill();
  const char* argv[] = {"/bin/sh", "-c", command.c_str(), nullptr};
  const Fd in(::open("/dev/null", O_RDONLY | O_CLOEXEC)), written = memory();
  kortex_exec_args args{};
  args.struct_size = sizeof args;
  args.argv = argv;
  args.stdin_fd = in.get();
  args.stdout_fd = args.stderr_fd = written.get();
  kortex_exit end{};
  end.struct_size = sizeof end;
  const kortex_status status = m_plugin->exec(m_runtime, &m_call, &m_ref, &args, &end);
  output = text_of(written.get());
  return status == KORTEX_OK ? end.code : -status;
}

kortex_status PluginHost::logs(std::string& output) {
  fill();
  kortex_logs_args args{};
  args.struct_size = sizeof args;
  args.tail = -1;
  const kortex_status status = m_plugin->logs(m_runtime, &m_call, &m_ref, &args);
  output = out;
  return status;
}

}  // namespace kortex::test
