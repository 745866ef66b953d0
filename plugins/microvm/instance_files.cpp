#include "instance_files.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <memory>
#include <sstream>

#include <kortex/fd.hpp>
#include <kortex/processes.hpp>

#include "files.hpp"
#include "qmp.hpp"

namespace kortex::microvm {

namespace {

using namespace std::chrono_literals;

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

std::vector<std::string> entries_of(const std::string& directory) {
  std::vector<std::string> names;
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(directory.c_str()), &::closedir);
  while (const dirent* entry = listing ? ::readdir(listing.get()) : nullptr) names.emplace_back(entry->d_name);
  return names;
}

/// The directory's own name may be longer than a socket address.
sockaddr_un address_in(const Fd& directory, const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = "/proc/self/fd/" + std::to_string(directory.get()) + "/" + name;
  std::memcpy(address.sun_path, path.c_str(), std::min(path.size() + 1, sizeof address.sun_path));
  return address;
}

/// Through a descriptor: the guest writes into these files, and only files are read.
template <class Read>
auto read_safely(const std::string& path, Read&& read) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  return read(file ? "/proc/self/fd/" + std::to_string(file.get()) : path);
}

std::string story_of(const std::optional<std::int64_t>& code) {
  return code ? "the agent exited with status " + std::to_string(*code) : std::string();
}

}  // namespace

std::optional<std::int64_t> InstanceFiles::created() const {
  std::istringstream text(contents(path("instance"), 4096));
  std::string word;
  std::int64_t when = 0;
  if (text >> word >> when && word == "created" && when > 0) return when;
  return std::nullopt;
}

void InstanceFiles::write_created() const { replace_file(path("instance"), "created " + std::to_string(now_ms()) + "\n"); }

session::StatusFile InstanceFiles::story() const {
  return read_safely(path("session.status"), [](const std::string& file) { return session::read_status_file(file); });
}

void InstanceFiles::read_output(std::int64_t tail, const session::LogSink& sink, const session::LogEnd& up_to) const {
  read_safely(path("session.output.0"), [&](const std::string& first) {
    read_safely(path("session.output.1"), [&](const std::string& second) { session::read_log(first, second, tail, sink, up_to); });
  });
}

bool InstanceFiles::alive() const {
  const Fd file(::open(path("machine.lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  struct flock lock = whole_file();
  return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::int64_t InstanceFiles::qemu_pid() const {
  const Fd file(::open(path("qemu.pid").c_str(), O_RDONLY | O_CLOEXEC));
  struct flock lock = whole_file();
  if (!file || ::fcntl(file.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0) return 0;
  return lock.l_pid;
}

bool InstanceFiles::wait_until_dead(const Call& call, std::chrono::milliseconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (watch) ::inotify_add_watch(watch.get(), path("machine.lock").c_str(), IN_CLOSE_WRITE | IN_DELETE_SELF);
  while (alive()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    // The kernel tells of the last close a moment before it drops the lock, hence the short limit.
    call.wait_readable(watch.get(), 5ms);
    char events[4096];
    while (watch && ::read(watch.get(), events, sizeof events) > 0) {
    }
  }
  return true;
}

void InstanceFiles::wait_until_started(const Call& call, std::chrono::milliseconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  // The guest writes by way of a program of this machine. alive() opens the lock for reading only, or this would wake itself.
  if (!watch || ::inotify_add_watch(watch.get(), path("session.status").c_str(), IN_MODIFY) < 0 ||
      ::inotify_add_watch(watch.get(), path("machine.lock").c_str(), IN_CLOSE_WRITE) < 0)
    fail_system("cannot watch " + quoted(m_directory));
  for (;;) {
    const bool lives = alive();  // before the story
    if (story().started) return;
    if (!lives) throw session::Error(KORTEX_E_BACKEND, "the virtual machine has ended");
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    if (left <= 0ms) throw session::Error(KORTEX_E_TIMEOUT, "the guest does not answer");
    // The kernel tells of the last close a moment before it drops the lock.
    call.wait_readable(watch.get(), std::min(left, std::chrono::milliseconds(500)));
    char events[4096];
    while (::read(watch.get(), events, sizeof events) > 0) {
    }
  }
}

void InstanceFiles::write_end(int exit_code) const {
  const std::string name = path("session.status");
  const Fd file(::open(name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW));
  if (file) write_all(file.get(), "ended " + std::to_string(exit_code) + " " + std::to_string(now_ms()) + "\n", name);
}

void InstanceFiles::kill_all() const {
  if (const std::int64_t pid = qemu_pid(); pid != 0) kill_process(pid, [&] { return qemu_pid() == pid; }, 10000ms);
  struct stat lock {};
  if (::stat(path("machine.lock").c_str(), &lock) != 0) return;
  const std::string self = std::to_string(::getpid());
  // The others end by themselves when QEMU has gone. Whoever does not is found by the lock it has inherited.
  for (int patience = 0; patience < 100 && alive(); ++patience) {
    pollfd nothing{-1, 0, 0};
    ::poll(&nothing, 1, 10);
  }
  if (!alive()) return;
  for (const std::string& process : numbers_in("/proc"))
    if (process != self && has_open(process, lock))
      kill_process(std::atoll(process.c_str()), [&] { return has_open(process, lock); }, 5000ms);
}

std::string InstanceFiles::last_words() const {
  const std::int64_t size = size_of(path("console.log"));
  const std::string text = contents_at(path("console.log"), std::max<std::int64_t>(0, size - 65536), 65536);
  for (const char* mark : {"kortex-guest: ", "Kernel panic - not syncing: ", "Out of memory: Killed process"}) {
    const std::size_t at = text.rfind(mark);
    if (at == std::string::npos) continue;
    const bool own = std::strncmp(mark, "kortex", 6) == 0;
    std::string line = text.substr(at + (own ? std::strlen(mark) : 0), 300);
    line = line.substr(0, line.find_first_of("\r\n"));
    return line;
  }
  return {};
}

Fd InstanceFiles::take_lock() const {
  const std::string name = path("machine.lock");
  Fd file = lifted(Fd(::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600)), name);
  struct flock lock = whole_file();
  if (::fcntl(file.get(), F_OFD_SETLK, &lock) == 0) return file;
  if (errno != EAGAIN && errno != EACCES) fail_system("cannot lock '" + name + "'");
  return Fd();
}

Fd InstanceFiles::listen(const std::string& name) const {
  const Fd directory(::open(m_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  ::unlink(path(name).c_str());
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_un address = address_in(directory, name);
  // The mode that bind() gives it, whatever the umask.
  if (!directory || !listener || ::fchmod(listener.get(), 0600) != 0 || ::bind(listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listener.get(), 16) != 0)
    fail_system("cannot listen on '" + path(name) + "'");
  return lifted(std::move(listener), path(name));
}

Fd InstanceFiles::connect(const std::string& name) const {
  const Fd directory(::open(m_directory.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval patience{10, 0};
  if (fd) ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const sockaddr_un address = address_in(directory, name);
  if (!directory || !fd || ::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    throw session::Error(KORTEX_E_NOT_FOUND, "cannot connect to '" + path(name) + "': " + ::strerror(errno));
  ::fcntl(fd.get(), F_SETFL, O_NONBLOCK);
  return fd;
}

Instance InstanceFiles::observe(bool may_be_paused) const {
  Instance seen;
  const std::optional<std::int64_t> made = created();
  if (!made) {
    seen.state = State::gone;
    return seen;
  }
  seen.created_ms = *made;
  const bool lives = alive();  // before the story: what has died since is told by it
  const session::StatusFile told = story();
  seen.started_ms = told.started_ms;
  if (told.ended) {
    seen.state = State::stopped;
    seen.finished_ms = told.ended_ms;
    seen.exit_code = told.exit_code;
    seen.status = story_of(told.exit_code);
  } else if (lives) {
    seen.pid = qemu_pid();
    seen.state = told.started ? State::running : State::starting;
    if (told.started && may_be_paused && is_paused(*this)) seen.state = State::paused;
    std::istringstream forwards(contents(path("forwards"), 65536));
    Forward forward;
    while (told.started && forwards >> forward.target >> forward.port >> forward.bind) seen.forwards.push_back(forward);
  } else if (!told.started && !told.serving) {
    seen.state = State::created;
  } else if (contents(path("boot"), 64) != boot_id()) {
    seen.state = State::stopped;
    seen.status = "this machine was rebooted";
  } else {
    const std::string words = last_words();
    seen.state = State::failed;
    seen.status = words.empty() ? "QEMU was killed" : "the virtual machine ended: " + words;
  }
  return seen;
}

void InstanceFiles::clear() const {
  for (const std::string& name : entries_of(m_directory))
    if (name != "." && name != ".." && name != "instance") ::unlink(path(name).c_str());
  ::unlink(path("instance").c_str());
}

}  // namespace kortex::microvm
