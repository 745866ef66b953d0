#include "instance_files.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <sstream>

#include <kortex/fd.hpp>

#include "paths.hpp"

namespace kortex::process {

namespace {

struct flock whole_file() {
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  return lock;
}

void write_all(int fd, const std::string& text, const std::string& path) {
  for (std::size_t at = 0; at < text.size();) {
    const ssize_t size = ::write(fd, text.data() + at, text.size() - at);
    if (size < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "cannot write '" + path + "'");
    if (size > 0) at += static_cast<std::size_t>(size);
  }
}

std::string first_line(const std::string& path) {
  const std::string text = contents(path, 128);
  return text.substr(0, text.find('\n'));
}

}  // namespace

std::int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string boot_id() { return first_line("/proc/sys/kernel/random/boot_id"); }

bool lock_story(int status_fd) {
  struct flock lock = whole_file();
  return ::fcntl(status_fd, F_OFD_SETLK, &lock) == 0;
}

void replace_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  {
    const Fd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file) throw std::system_error(errno, std::generic_category(), "cannot write '" + fresh + "'");
    write_all(file.get(), text, fresh);
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot write '" + path + "'");
}

std::optional<Record> InstanceFiles::record() const {
  std::istringstream lines(contents(path("instance")));
  Record record;
  std::string word, value;
  while (lines >> word >> value) {
    if (word == "created") record.created_ms = std::atoll(value.c_str());
    if (word == "sandbox") record.sandboxed = value != "none";
    if (word == "port") record.ports.push_back(static_cast<std::uint16_t>(std::atoi(value.c_str())));
  }
  if (record.created_ms == 0) return std::nullopt;
  return record;
}

void InstanceFiles::write_record(const Record& record) const {
  std::ostringstream text;
  text << "created " << record.created_ms << "\nsandbox " << (record.sandboxed ? "bwrap" : "none") << '\n';
  for (const std::uint16_t port : record.ports) text << "port " << port << '\n';
  replace_file(path("instance"), text.str());
}

session::StatusFile InstanceFiles::story() const { return session::read_status_file(path("session.status")); }

bool InstanceFiles::alive() const {
  const Fd file(::open(path("session.status").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return false;
  struct flock lock = whole_file();
  return ::fcntl(file.get(), F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

std::int64_t InstanceFiles::holder_pid() const {
  const Fd file(::open(path("session.lock").c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return 0;
  struct flock lock = whole_file();
  if (::fcntl(file.get(), F_GETLK, &lock) != 0 || lock.l_type == F_UNLCK || lock.l_pid <= 0) return 0;
  return lock.l_pid;
}

bool InstanceFiles::wait_until_dead(const Call& call, std::chrono::milliseconds limit) const {
  const auto end = std::chrono::steady_clock::now() + limit;
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (watch) ::inotify_add_watch(watch.get(), path("session.status").c_str(), IN_CLOSE_WRITE | IN_DELETE_SELF);
  while (alive()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    // The kernel tells of the last close a moment before it drops the lock, hence the short limit.
    call.wait_readable(watch.get(), std::chrono::milliseconds(5));
    char events[4096];
    while (watch && ::read(watch.get(), events, sizeof events) > 0) {
    }
  }
  return true;
}

void InstanceFiles::write_end(int exit_code) const {
  const std::string name = path("session.status");
  const Fd file(::open(name.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (file) write_all(file.get(), "ended " + std::to_string(exit_code) + " " + std::to_string(now_ms()) + "\n", name);
}

Instance InstanceFiles::observe() const {
  Instance seen;
  const std::optional<Record> known = record();
  if (!known) {
    seen.state = State::gone;
    return seen;
  }
  seen.created_ms = known->created_ms;
  seen.details_json = json::Object{{"sandbox", known->sandboxed ? "bwrap" : "none"}}.text();
  const bool lives = alive();  // before the story: what has died since is told by it
  const session::StatusFile told = story();
  seen.started_ms = told.started_ms;
  if (told.ended) {
    seen.state = State::stopped;
    seen.finished_ms = told.ended_ms;
    seen.exit_code = told.exit_code;
    seen.status = "the agent exited with status " + std::to_string(told.exit_code);
  } else if (lives) {
    seen.state = told.started ? State::running : State::starting;
    seen.pid = holder_pid();
    if (seen.state == State::running)
      for (const std::uint16_t port : known->ports) seen.forwards.push_back({port, port, "127.0.0.1"});
  } else if (!told.started && !told.serving) {
    seen.state = State::created;
  } else if (first_line(path("boot")) != boot_id()) {
    seen.state = State::stopped;
    seen.status = "this machine was rebooted";
  } else {
    seen.state = State::failed;
    seen.status = "the session holder was killed";
  }
  return seen;
}

}  // namespace kortex::process
