#include "launch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include <kortex/fd.hpp>

#include "environment.hpp"
#include "processes.hpp"
#include "sandbox_view.hpp"

namespace kortex::process {

namespace {

using namespace std::chrono_literals;

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

// Above the numbers that the child is given, so that dup2() of one never closes another; and no higher, for somebody's
// `ulimit -n`.
Fd lifted(Fd fd, const std::string& what) {
  if (!fd) fail("cannot open '" + what + "'");
  Fd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, filter_descriptor + 1));
  if (!high) fail("cannot open '" + what + "'");
  return high;
}

Fd opened(const InstanceFiles& files, const char* name, int flags) {
  const std::string path = files.path(name);
  return lifted(Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | flags, 0600)), path);
}

Fd listening(const InstanceFiles& files) {
  const std::string path = files.path("session.sock");
  ::unlink(path.c_str());
  const Fd directory(::open(files.directory().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // The mode that bind() gives it, whatever the umask.
  if (!directory || !listener || ::fchmod(listener.get(), 0600) != 0) fail("cannot listen on '" + path + "'");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  // The directory's own name may be longer than a socket address.
  const std::string name = "/proc/self/fd/" + std::to_string(directory.get()) + "/session.sock";
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(listener.get(), 64) != 0)
    fail("cannot listen on '" + path + "'");
  return lifted(std::move(listener), path);
}

struct Descriptors {
  Fd listen, lock, status, log0, log1, ready, filter, said;
};

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (const std::string& text : texts) out.push_back(const_cast<char*>(text.c_str()));
  out.push_back(nullptr);
  return out;
}

pid_t spawn(const std::vector<std::string>& command, const std::vector<std::string>& environment, const Descriptors& given) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, 0, 1);
  ::posix_spawn_file_actions_adddup2(&actions, given.said.get(), 2);
  int number = 3;  // to 8; then filter_descriptor
  for (const Fd* fd : {&given.listen, &given.lock, &given.status, &given.log0, &given.log1, &given.ready})
    ::posix_spawn_file_actions_adddup2(&actions, fd->get(), number++);
  if (given.filter) ::posix_spawn_file_actions_adddup2(&actions, given.filter.get(), filter_descriptor);
  // Whatever our caller left open (its locks!) would live as long as the agent.
  ::posix_spawn_file_actions_addclosefrom_np(&actions, filter_descriptor + (given.filter ? 1 : 0));
  sigset_t all, none;
  ::sigfillset(&all);
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
  pid_t pid = -1;
  const int error = ::posix_spawnp(&pid, command.front().c_str(), &actions, &attributes, pointers(command).data(), pointers(environment).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&actions);
  const std::string cannot = "cannot run '" + command.front() + "'";
  if (error == EAGAIN) throw Error(KORTEX_E_RESOURCE, cannot + ": no more processes are allowed (ulimit -u)");
  if (error == EMFILE || error == ENFILE || error == ENOMEM) throw std::system_error(error, std::generic_category(), cannot);
  if (error != 0) throw Error(KORTEX_E_UNAVAILABLE, cannot + ": " + std::strerror(error));
  return pid;
}

std::string text_of(const Fd& memory) {
  char buffer[4096];
  const ssize_t size = ::pread(memory.get(), buffer, sizeof buffer, 0);
  std::string text(buffer, size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

std::vector<std::string> command_of(const Launch& launch) {
  std::vector<std::string> command;
  if (!launch.limit_groups.empty()) {
    // A process enters a group by writing to it; it must do so itself, before anything of it forks.
    command = {"/bin/sh", "-c", "for group in $1; do echo 0 > \"$group/cgroup.procs\" || exit 125; done; shift; exec \"$@\"", "sh"};
    std::string groups;
    for (const std::string& group : launch.limit_groups) groups += (groups.empty() ? "" : " ") + group;
    command.push_back(groups);
  }
  command.insert(command.end(), launch.wrapper.begin(), launch.wrapper.end());
  command.insert(command.end(), {launch.holder, "serve", "--listen-fd", "3", "--lock-fd", "4", "--status-fd", "5",
                                 "--log-fds", "6,7", "--ready-fd", "8"});
  return command;
}

}  // namespace

void launch_holder(const Call& call, const InstanceFiles& files, const Launch& launch) {
  Descriptors given;
  given.status = opened(files, "session.status", 0);
  if (!lock_story(given.status.get()))
    throw Error(KORTEX_E_BUSY, "cannot start the instance: somebody else is starting it");
  if (::ftruncate(given.status.get(), 0) != 0) fail("cannot clear '" + files.path("session.status") + "'");
  given.lock = opened(files, "session.lock", 0);
  given.log0 = opened(files, "output.0", O_TRUNC);
  given.log1 = opened(files, "output.1", O_TRUNC);
  given.listen = listening(files);
  Pipe ready = Pipe::make();
  given.ready = lifted(std::move(ready.write), "pipe");
  given.said = lifted(Fd(::memfd_create("kortex-holder", MFD_CLOEXEC)), "memfd");
  if (launch.filter) given.filter = lifted(Fd(::fcntl(launch.filter.get(), F_DUPFD_CLOEXEC, 0)), "memfd");
  replace_file(files.path("boot"), boot_id() + "\n");

  // By the marker it is found even when the instance's directory, and with it the lock, is gone.
  const std::vector<std::string> environment{"PATH=/usr/bin:/bin", instance_marker(launch.key)};
  const pid_t pid = spawn(command_of(launch), environment, given);
  const Fd said = std::move(given.said);
  given = Descriptors();  // ours would keep the pipe open, and the instance "alive"

  std::string reason = "it did not become ready in 20 seconds";
  try {
    if (call.wait_readable(ready.read.get(), 20s)) {
      char byte = 0;
      if (::read(ready.read.get(), &byte, 1) == 1) return;
      reason = "it ended at once";
    }
  } catch (...) {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    kill_instance(files);
    throw;
  }
  // bubblewrap and, until it makes a session of its own, the holder.
  ::kill(-pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  kill_instance(files);
  // A start that failed leaves no story of a start.
  if (!files.alive()) ::unlink(files.path("session.status").c_str());
  const std::string detail = text_of(said);
  const std::string what = launch.wrapper.empty() ? "cannot start the session holder: " : "cannot start the sandbox: ";
  if (detail.compare(0, 7, "bwrap: ") == 0) reason = detail.substr(7, detail.find('\n') - 7);
  throw Error(KORTEX_E_BACKEND, what + reason, {}, detail);
}

}  // namespace kortex::process
