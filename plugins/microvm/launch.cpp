#include "launch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>

#include "files.hpp"
#include "machine.hpp"

extern "C" {
extern const char kortex_microvm_filter_begin[], kortex_microvm_filter_end[], kortex_microvm_console_begin[], kortex_microvm_console_end[];
}

namespace kortex::microvm {

namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

Fd carried_program(const char* name, const char* begin, const char* end) {
  Fd program = lifted(Fd(::memfd_create(name, MFD_CLOEXEC)), "memfd");
  write_all(program.get(), std::string(begin, end), "memfd");
  return program;
}

struct SocketPair {
  Fd first, second;
  static SocketPair make() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) fail_system("cannot make a network");
    Fd first(ends[0]), second(ends[1]);
    return {lifted(std::move(first), "network"), lifted(std::move(second), "network")};
  }
};

}  // namespace

/// `given`: its descriptors from 4 up; 3 is the lock. A session of its own; what it says goes to `log`.
pid_t Launch::spawn(const std::vector<std::string>& command, const std::vector<int>& given, const char* log) const {
  const std::string log_path = m_files.path(log);
  const Fd said = lifted(Fd(::open(log_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)), log_path);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addchdir_np(&actions, m_files.directory().c_str());
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, said.get(), 1);
  ::posix_spawn_file_actions_adddup2(&actions, said.get(), 2);
  ::posix_spawn_file_actions_adddup2(&actions, m_lock.get(), 3);
  int number = 4;
  for (const int fd : given) ::posix_spawn_file_actions_adddup2(&actions, fd, number++);
  // Whatever our caller left open (its locks!) would live as long as the machine.
  ::posix_spawn_file_actions_addclosefrom_np(&actions, number);
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  // Of the user's environment nothing: it holds what is nobody's business here.
  std::vector<std::string> environment{"PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C"};
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, command.front().c_str(), &actions, &attributes, pointers(command).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  if (error != 0) throw Error(KORTEX_E_UNAVAILABLE, "cannot run '" + command.front() + "': " + std::strerror(error));
  return pid;
}

void Launch::start_share(const std::vector<std::string>& command) {
  const Fd listener = m_files.listen("share.sock");
  m_services.push_back({spawn(command, {listener.get()}, "share.log"), "virtiofsd", "share files with the virtual machine", "share.log"});
  m_share = lifted(m_files.connect("share.sock"), "share.sock");
  ::unlink(m_files.path("share.sock").c_str());
}

void Launch::start_network(const std::vector<std::string>& passt) {
  SocketPair outer = SocketPair::make(), inner = SocketPair::make();
  m_services.push_back({spawn(passt, {outer.second.get()}, "network.log"), "passt", "give the virtual machine a network", "network.log"});
  const Fd program = carried_program("kortex-network-filter", kortex_microvm_filter_begin, kortex_microvm_filter_end);
  // 4 towards the guest, 5 towards passt, 6 the program itself
  spawn({"/proc/self/fd/6", "4", "5"}, {inner.second.get(), outer.first.get(), program.get()}, "filter.log");
  m_network = std::move(inner.first);
}

/// Returns QEMU's end.
Fd Launch::start_console() const {
  Pipe pipe = Pipe::make();
  const Fd from = lifted(std::move(pipe.read), "pipe");
  const std::string path = m_files.path("console.log");
  const Fd file = lifted(Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600)), path);
  const Fd program = carried_program("kortex-console", kortex_microvm_console_begin, kortex_microvm_console_end);
  // 4 what QEMU writes, 5 where it goes, 6 the program itself
  spawn({"/proc/self/fd/6", "4", "5"}, {from.get(), file.get(), program.get()}, "console-keeper.log");
  return lifted(std::move(pipe.write), "pipe");
}

void Launch::start_machine(const std::vector<std::string>& qemu, Fd initramfs, unsigned sessions) {
  // Ours: they must not stay open, or a dead machine would look alive.
  std::vector<Fd> held;
  std::vector<int> given;
  const auto give = [&](Fd fd) {
    given.push_back(fd.get());
    held.push_back(std::move(fd));
  };
  give(m_files.listen("qmp.sock"));
  for (Fd* end : {&m_share, &m_network}) give(*end ? std::move(*end) : lifted(Fd(::open("/dev/null", O_RDWR | O_CLOEXEC)), "/dev/null"));
  give(start_console());
  give(std::move(initramfs));
  give(m_files.listen(control_socket));
  for (unsigned session = 1; session <= sessions; ++session) give(m_files.listen(session_socket(session)));
  spawn(qemu, given, "qemu.log");
  m_lock.reset();
}

void Launch::require_services() const {
  for (const Service& service : m_services) {
    int status = 0;
    // Whom the machine leaves behind ends as well, and in peace.
    if (::waitpid(service.pid, &status, WNOHANG) != service.pid || status == 0) continue;
    std::string said = contents(m_files.path(service.log), 4096), line = said;
    while (!line.empty() && line.back() == '\n') line.pop_back();
    line.erase(0, line.rfind('\n') + 1);
    const std::string how = WIFSIGNALED(status) ? "it was killed by signal " + std::to_string(WTERMSIG(status)) : "it ended with status " + std::to_string(WEXITSTATUS(status));
    throw Error(KORTEX_E_BACKEND, std::string("cannot ") + service.task + ": " + service.program + ": " + (line.empty() ? how : line), {}, said == line + '\n' ? std::string() : said);
  }
}

}  // namespace kortex::microvm
