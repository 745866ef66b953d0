/// What the session holder leaves in the instance's directory, read back. Included by <kortex/session.hpp>.
#ifndef KORTEX_SESSION_RECORDS_HPP
#define KORTEX_SESSION_RECORDS_HPP

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>

#include <kortex/session.hpp>

namespace kortex::session {

namespace detail {

inline std::string reason(int error) {
  std::string text = std::generic_category().message(error);
  if (text.size() > 1 && text[0] >= 'A' && text[0] <= 'Z' && !(text[1] >= 'A' && text[1] <= 'Z'))
    text[0] = static_cast<char>(text[0] - 'A' + 'a');
  return text;
}

inline std::pair<long long, long long> changed_at(const struct stat& about) {
#if defined(__APPLE__)
  return {about.st_mtimespec.tv_sec, about.st_mtimespec.tv_nsec};
#else
  return {about.st_mtim.tv_sec, about.st_mtim.tv_nsec};
#endif
}

/// Whoever is in the instance may have put something else in the place of a record: a link to a file of the host's, a
/// FIFO, a file without end. Only what is a file in that place is read, and no more of it than a record has.
/// Empty: the file does not exist, or is none.
inline Fd open_record(const std::string& path) {
  // Who opened it already names it by its descriptor, which is a link for the kernel only.
  const bool is_open = path.compare(0, 14, "/proc/self/fd/") == 0;
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | (is_open ? 0 : O_NOFOLLOW)));
  if (!file && errno != ENOENT && errno != ELOOP && errno != ENXIO) throw Error(KORTEX_E_FAILED, "cannot read '" + path + "': " + reason(errno));
  struct stat st {};
  if (file && (::fstat(file.get(), &st) != 0 || !S_ISREG(st.st_mode))) file.reset();
  return file;
}

inline std::string read_record(const Fd& file, const std::string& path, std::size_t most) {
  std::string text;
  if (!file) return text;
  struct stat st {};
  if (::fstat(file.get(), &st) == 0 && st.st_size > 0) text.reserve(std::min(static_cast<std::size_t>(st.st_size), most));
  char part[16384];
  while (text.size() < most) {
    const ssize_t n = ::pread(file.get(), part, std::min(sizeof part, most - text.size()), static_cast<off_t>(text.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw Error(KORTEX_E_FAILED, "cannot read '" + path + "': " + reason(errno));
    if (n == 0) break;
    text.append(part, static_cast<std::size_t>(n));
  }
  return text;
}

}  // namespace detail

inline StatusFile read_status_file(const std::string& path) {
  const std::string text = detail::read_record(detail::open_record(path), path, 64 << 10);
  StatusFile status;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t newline = text.find('\n', at);
    if (newline == std::string::npos) break;  // being written
    const std::string line = text.substr(at, newline - at);
    at = newline + 1;
    long long a = 0, b = 0;
    if (std::sscanf(line.c_str(), "serving %lld", &a) == 1) {
      status = StatusFile{};  // of this holder, whatever an earlier one wrote
      status.serving = true;
      status.serving_ms = a;
    } else if (std::sscanf(line.c_str(), "started %lld %lld", &a, &b) == 2) {
      status.started = true;
      status.agent_pid = a;
      status.started_ms = b;
    } else if (std::sscanf(line.c_str(), "ended %lld %lld", &a, &b) == 2) {
      status.ended = true;
      status.exit_code = static_cast<int>(a);
      status.ended_ms = b;
    }
  }
  return status;
}

inline void read_log(const std::string& path0, const std::string& path1, std::int64_t tail_lines, const LogSink& sink, const LogEnd& up_to) {
  const Fd first = detail::open_record(path0), second = detail::open_record(path1);
  struct stat a {}, b {};
  if (first) ::fstat(first.get(), &a);
  if (second) ::fstat(second.get(), &b);
  // the full one is the older; two that are not (a disk was full in between) go by their times
  constexpr auto full = static_cast<off_t>(KORTEX_SESSION_LOG_MAX);
  const off_t written = up_to.file == 1 ? b.st_size : a.st_size, other = up_to.file == 1 ? a.st_size : b.st_size;
  // Emptied again since then: so much has been written that none of it is from before.
  if (up_to.known && static_cast<std::uint64_t>(written) < up_to.size) return;
  const bool second_is_older = up_to.known ? up_to.file == 0 : b.st_size >= static_cast<off_t>(KORTEX_SESSION_LOG_MAX)
                                   ? true
                                   : a.st_size < static_cast<off_t>(KORTEX_SESSION_LOG_MAX) && b.st_size > 0 &&
                                         detail::changed_at(b) < detail::changed_at(a);
  std::string text;
  // Once the written one is full, one that is not is the newer.
  if (!up_to.known || other >= full || written < full)
    text = detail::read_record(second_is_older ? second : first, second_is_older ? path1 : path0, KORTEX_SESSION_LOG_MAX);
  std::string newer = detail::read_record(second_is_older ? first : second, second_is_older ? path0 : path1, KORTEX_SESSION_LOG_MAX);
  if (up_to.known && newer.size() > up_to.size) newer.resize(static_cast<std::size_t>(up_to.size));
  text += newer;

  std::size_t at = 0;
  if (tail_lines >= 0) {
    at = text.size();
    std::int64_t lines = 0;
    while (at > 0 && lines <= tail_lines) {
      // a newline at the very end closes the last line, it does not begin another
      if (text[at - 1] == '\n' && at != text.size() && ++lines == tail_lines) break;
      if (tail_lines == 0) break;
      --at;
    }
  }
  while (at < text.size()) {
    const std::size_t size = std::min<std::size_t>(text.size() - at, 65536);
    if (sink(text.data() + at, size) != 0) return;
    at += size;
  }
}

}  // namespace kortex::session
#endif
