#include "engine/holder.hpp"

#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "engine/tar.hpp"

namespace kortex::engine {

void HolderDirectory::clear() const {
  ::unlink(socket().c_str());
  ::unlink(status().c_str());
  // The agent writes here: what it left in a record's place, and is no file, is put aside, or no holder would start again.
  for (const std::string& record : {socket(), status(), m_path + "/session.lock", output(0), output(1)}) {
    struct stat about {};
    if (::lstat(record.c_str(), &about) != 0 || S_ISREG(about.st_mode)) continue;
    if (!S_ISDIR(about.st_mode)) {
      ::unlink(record.c_str());
      continue;
    }
    for (int number = 0; ::rename(record.c_str(), (record + ".aside-" + std::to_string(number)).c_str()) != 0 && number < 1000; ++number)
      if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) break;
  }
}

bool HolderDirectory::wait_until_serving(const Call& call, const std::function<bool()>& alive, const std::function<void()>& begin) const {
  const Fd changes(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!changes || ::inotify_add_watch(changes.get(), m_path.c_str(), IN_CREATE | IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_TO) < 0)
    throw std::system_error(errno, std::generic_category(), "cannot watch directory '" + m_path + "'");
  begin();
  while (!session::read_status_file(status()).serving) {
    if (!call.wait_readable(changes.get(), std::chrono::milliseconds(250))) {
      if (!alive()) return session::read_status_file(status()).serving;
      continue;
    }
    char events[4096];
    while (::read(changes.get(), events, sizeof events) > 0) {
    }
  }
  return true;
}

void HolderDirectory::hand_over_output(const Call& call, std::int64_t tail, const session::LogEnd& up_to) const {
  session::read_log(output(0), output(1), tail, [&](const char* data, std::size_t size) {
    call.output(KORTEX_STREAM_STDOUT, {data, size});
    return 0;
  }, up_to);
}

void hand_over_copied_output(const Call& call, const std::string& archive, std::int64_t tail, const session::LogEnd& up_to) {
  // The log's own reader takes files; these have no name, and no place on any disk.
  Fd files[2];
  std::string paths[2];
  for (int which = 0; which < 2; ++which) {
    files[which].reset(::memfd_create("output", MFD_CLOEXEC));
    if (!files[which]) throw std::system_error(errno, std::generic_category(), "cannot keep the log");
    paths[which] = "/proc/self/fd/" + std::to_string(files[which].get());
  }
  read_tar(archive, [&](const std::string& name, std::string_view content) {
    const std::string file = name.substr(name.rfind('/') + 1);
    if (file != "output.0" && file != "output.1") return;
    const Fd& to = files[file.back() - '0'];
    while (!content.empty()) {
      const ssize_t written = ::write(to.get(), content.data(), content.size());
      if (written < 0) throw std::system_error(errno, std::generic_category(), "cannot keep the log");
      content.remove_prefix(static_cast<std::size_t>(written));
    }
  });
  session::read_log(paths[0], paths[1], tail, [&](const char* data, std::size_t size) {
    call.output(KORTEX_STREAM_STDOUT, {data, size});
    return 0;
  }, up_to);
}

}  // namespace kortex::engine
