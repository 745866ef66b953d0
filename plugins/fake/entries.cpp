#include "entries.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <system_error>

namespace fake {
namespace {

constexpr std::array<std::pair<kortex::State, const char*>, 5> state_names{{{kortex::State::created, "created"},
                                                                            {kortex::State::running, "running"},
                                                                            {kortex::State::paused, "paused"},
                                                                            {kortex::State::stopped, "stopped"},
                                                                            {kortex::State::failed, "failed"}}};

[[noreturn]] void fail(const std::string& what) { throw std::system_error(errno, std::generic_category(), what); }

/// Links are made under this name and renamed; a key has no dot.
std::string unfinished(const char* key) { return std::string(key) + ".new"; }

}  // namespace

std::int64_t now_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

std::string to_text(const Entry& entry) {
  std::string text = "unknown";
  for (const auto& [state, name] : state_names)
    if (state == entry.state) text = name;
  for (const std::int64_t number : {entry.created_ms, entry.started_ms, entry.finished_ms, std::int64_t{entry.exit_code}})
    text += ':' + std::to_string(number);
  text += entry.faulty ? ":f:" : "::";
  for (const kortex::Forward& forward : entry.forwards)
    text += std::to_string(forward.target) + '=' + std::to_string(forward.port) + '@' + forward.bind + ',';
  return text;
}

Entry entry_from_text(const char* text) {
  Entry entry;
  const std::size_t length = std::strcspn(text, ":");
  for (const auto& [state, name] : state_names)
    if (std::strlen(name) == length && std::memcmp(name, text, length) == 0) entry.state = state;
  const char* at = text + length;
  const auto next = [&] { return *at == ':' ? ++at : at; };
  const auto number = [&](std::int64_t fallback) {
    char* end = nullptr;
    const char* from = next();
    const long long value = std::strtoll(from, &end, 10);
    at = end;
    return end == from ? fallback : value;
  };
  entry.created_ms = number(0);
  entry.started_ms = number(0);
  entry.finished_ms = number(0);
  entry.exit_code = static_cast<int>(number(-1));
  entry.faulty = *next() == 'f';
  if (entry.faulty) ++at;
  for (next(); *at != '\0';) {
    char* end = nullptr;
    kortex::Forward forward;
    forward.target = static_cast<std::uint16_t>(std::strtoul(at, &end, 10));
    if (*end != '=') break;
    forward.port = static_cast<std::uint16_t>(std::strtoul(end + 1, &end, 10));
    if (*end != '@') break;
    const std::size_t bind = std::strcspn(end + 1, ",");
    forward.bind.assign(end + 1, bind);
    at = end + 1 + bind;
    if (*at == ',') ++at;
    entry.forwards.push_back(std::move(forward));
  }
  return entry;
}

std::optional<std::string> Entries::down() const {
  const std::string file = m_directory + "/down";
  if (::access(file.c_str(), F_OK) != 0) return std::nullopt;
  std::string reason;
  std::ifstream in(file);
  std::getline(in, reason);
  return reason.empty() ? "the backend is down" : reason;
}

int Entries::instances() {
  if (!m_instances) {
    m_instances.reset(::open((m_directory + "/instances").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!m_instances && errno != ENOENT) fail("cannot open '" + m_directory + "/instances'");
  }
  return m_instances.get();
}

void Entries::make_directories() {
  for (const char* name : {"/instances", "/made", "/logs"}) {
    const std::string directory = m_directory + name;
    if (::mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make '" + directory + "'");
  }
}

std::optional<Entry> Entries::read(const char* key) {
  char target[PATH_MAX];
  const int directory = instances();
  if (directory < 0) return std::nullopt;
  const ssize_t size = ::readlinkat(directory, key, target, sizeof target - 1);
  if (size < 0) {
    if (errno == ENOENT) return std::nullopt;
    fail(std::string("cannot read the state of '") + key + "'");
  }
  target[size] = '\0';
  return entry_from_text(target);
}

void Entries::write(const char* key, const Entry& entry) {
  make_directories();
  const int directory = instances();
  const std::string text = to_text(entry), name = unfinished(key);
  // Of a process that was killed here before.
  if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) fail("cannot remove '" + name + "'");
  if (::symlinkat(text.c_str(), directory, name.c_str()) != 0 || ::renameat(directory, name.c_str(), directory, key) != 0)
    fail(std::string("cannot write the state of '") + key + "'");
}

void Entries::remove(const char* key) {
  const int directory = instances();
  if (directory < 0) return;
  // The link last: as long as something is left, inspect() still sees the instance.
  for (const char* place : {"/made/", "/logs/"}) {
    const std::string file = m_directory + place + key;
    if (::unlink(file.c_str()) != 0 && errno != ENOENT) fail("cannot remove '" + file + "'");
  }
  for (const std::string& name : {unfinished(key), std::string(key)})
    if (::unlinkat(directory, name.c_str(), 0) != 0 && errno != ENOENT) fail("cannot remove '" + name + "'");
}

std::vector<std::string> Entries::keys() {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(::opendir((m_directory + "/instances").c_str()), ::closedir);
  if (!directory) return out;
  while (const dirent* found = ::readdir(directory.get()))
    if (std::strchr(found->d_name, '.') == nullptr) out.emplace_back(found->d_name);
  return out;
}

kortex::KeyValues Entries::made(const char* key) const {
  kortex::KeyValues out;
  std::ifstream in(m_directory + "/made/" + key);
  for (std::string line; std::getline(in, line);) {
    const std::size_t equals = line.find('=');
    if (equals != std::string::npos) out.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  return out;
}

void Entries::write_made(const char* key, const kortex::KeyValues& values) {
  make_directories();
  const std::string file = m_directory + "/made/" + key;
  std::ofstream out(file);
  if (!out) fail("cannot write '" + file + "'");
  ::chmod(file.c_str(), 0600);  // whatever the umask, and before there is anything in it
  for (const auto& [name, value] : values)
    if (value.find('\n') == std::string::npos) out << name << '=' << value << '\n';
  if (!out.flush()) fail("cannot write '" + file + "'");
}

void Entries::log(const char* key, const std::string& text) {
  const std::string line = std::to_string(now_ms()) + ' ' + text + '\n';
  const kortex::Fd file(::open((m_directory + "/logs/" + key).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  if (!file || ::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    fail(std::string("cannot write the log of '") + key + "'");
}

kortex::Fd Entries::open_log(const char* key) const {
  return kortex::Fd(::open((m_directory + "/logs/" + key).c_str(), O_RDONLY | O_CLOEXEC));
}

kortex::Fd Entries::watch() const {
  kortex::Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch) fail("cannot watch the instances");
  for (const char* name : {"/instances", "/logs"}) {
    const std::string directory = m_directory + name;
    if (::inotify_add_watch(watch.get(), directory.c_str(), IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MODIFY) < 0)
      fail("cannot watch '" + directory + "'");
  }
  return watch;
}

}  // namespace fake
