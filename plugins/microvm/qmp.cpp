#include "qmp.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace kortex::microvm {

namespace {

using Clock = std::chrono::steady_clock;

/// QEMU writes a line per message. "" after `end`.
class Lines {
 public:
  Lines(int fd, Clock::time_point end) : m_fd(fd), m_end(end) {}
  std::string next() {
    for (;;) {
      const std::size_t newline = m_text.find('\n');
      if (newline != std::string::npos) {
        std::string line = m_text.substr(0, newline + 1);
        m_text.erase(0, newline + 1);
        return line;
      }
      const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(m_end - Clock::now());
      pollfd wait{m_fd, POLLIN, 0};
      if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return {};
      char part[4096];
      const ssize_t size = ::read(m_fd, part, sizeof part);
      if (size <= 0) return {};
      m_text.append(part, static_cast<std::size_t>(size));
    }
  }

 private:
  int m_fd;
  Clock::time_point m_end;
  std::string m_text;
};

bool say(int fd, const std::string& command, const std::string& arguments = {}) {
  const std::string text = "{\"execute\":\"" + command + "\"" + (arguments.empty() ? "" : ",\"arguments\":" + arguments) + "}\n";
  return ::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size());
}

}  // namespace

std::string qmp(const InstanceFiles& files, const std::string& command, std::chrono::milliseconds limit, const std::string& arguments) {
  try {
    const Fd fd = files.connect("qmp.sock");
    Lines lines(fd.get(), Clock::now() + limit);
    if (lines.next().empty() || !say(fd.get(), "qmp_capabilities")) return {};
    bool greeted = false;
    for (std::string line = lines.next(); !line.empty(); line = lines.next()) {
      if (line.find("\"return\"") == std::string::npos && line.find("\"error\"") == std::string::npos) continue;  // an event
      if (greeted) return line;
      greeted = true;
      if (!say(fd.get(), command, arguments)) return {};
    }
  } catch (const session::Error&) {
    // Nobody there.
  }
  return {};
}

bool is_paused(const InstanceFiles& files) {
  return qmp(files, "query-status", std::chrono::milliseconds(500)).find("\"status\": \"paused\"") != std::string::npos;
}

}  // namespace kortex::microvm
