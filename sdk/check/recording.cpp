#include "recording.hpp"

#include <fcntl.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <stdexcept>

#include <kortex/fd.hpp>

namespace kortex::check {
namespace {

constexpr std::size_t stream_limit = std::size_t{1} << 20;

std::string stream(const char* bytes, std::size_t size) {
  if (bytes == nullptr) return "\"\"";
  return quoted_bytes({bytes, std::min(size, stream_limit)});
}

void append(int fd, std::string_view line) {
  while (!line.empty()) {
    const ssize_t n = ::write(fd, line.data(), line.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;  // a full disk must not change what is tested
    line.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace

std::string quoted_bytes(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (byte < 0x20 || byte > 0x7e) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\u%04x", byte);
      out += escaped;
    } else {
      out += c;
    }
  }
  return out + '"';
}

void begin_recording(const std::string& file, const std::string& plugin) {
  const Fd fd(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd) throw std::runtime_error("cannot write '" + file + "': " + std::strerror(errno));
  utsname names{};
  ::uname(&names);
  append(fd.get(), "{\"kortex-recording\":1,\"by\":" + quoted_bytes("kortex-runtime-check " KORTEX_CHECK_VERSION) + ",\"plugin\":" + quoted_bytes(plugin) +
                       ",\"machine\":" + quoted_bytes(std::string(names.sysname) + " " + names.release + " " + names.machine) + "}\n");
}

void record_program(const std::string& file, const std::string& function, const kortex_process& process, const kortex_process_result* result,
                    kortex_status status, std::int64_t ms) {
  std::string line = "{\"function\":" + quoted_bytes(function) + ",\"argv\":[";
  for (const char* const* word = process.argv; word != nullptr && *word != nullptr; ++word) line += (word == process.argv ? "" : ",") + quoted_bytes(*word);
  const bool detached = (process.flags & KORTEX_RUN_DETACH) != 0, ended = status == KORTEX_OK && !detached && result != nullptr;
  line += "],\"status\":" + (ended ? std::to_string(result->exit_code) : std::string("null"));
  if (status != KORTEX_OK) line += ",\"error\":" + std::to_string(status);
  if (detached) line += ",\"detached\":true";
  const bool taken = detached || result == nullptr || (process.flags & (KORTEX_RUN_FOREGROUND | KORTEX_RUN_STREAM)) != 0;
  line += ",\"stdout\":" + (taken || process.stdout_fd >= 0 ? std::string("null") : stream(result->out, result->out_size));
  line += ",\"stderr\":" + (taken || process.stderr_fd >= 0 ? std::string("null") : stream(result->err, result->err_size));
  line += ",\"ms\":" + std::to_string(ms) + "}\n";
  const Fd fd(::open(file.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (fd) append(fd.get(), line);
}

}  // namespace kortex::check
