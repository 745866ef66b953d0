/// A call without a host, and an engine that says what it was told to say.
#pragma once

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

namespace kortex::test {

/// An operation that can be cancelled and has a deadline.
class FakeCall {
 public:
  explicit FakeCall(std::int64_t limit_ms = -1) : m_cancel(Pipe::make()) {
    m_call.struct_size = sizeof m_call;
    m_call.ctx = this;
    m_call.cancel_fd = m_cancel.read.get();
    m_call.resize_fd = m_call.signal_fd = -1;
    m_call.deadline_ms = -1;
    if (limit_ms >= 0) {
      timespec now{};
      ::clock_gettime(CLOCK_MONOTONIC, &now);
      m_call.deadline_ms = now.tv_sec * 1000 + now.tv_nsec / 1000000 + limit_ms;
    }
    m_call.is_cancelled = [](const kortex_call* call) -> std::int32_t {
      pollfd fd{call->cancel_fd, POLLIN, 0};
      return ::poll(&fd, 1, 0) > 0 ? 1 : 0;
    };
    m_call.progress = [](const kortex_call* call, const char* phase, std::int64_t done, std::int64_t total, const char* text) {
      static_cast<FakeCall*>(call->ctx)->progress.push_back(std::string(phase) + " " + std::to_string(done) + "/" +
                                                            std::to_string(total) + " " + text);
    };
  }
  void cancel() { m_cancel.write.reset(); }
  [[nodiscard]] Call call() const { return Call(&m_call); }

  std::vector<std::string> progress;

 private:
  Pipe m_cancel;
  kortex_call m_call{};
};

/// At the end of an answer: the connection is closed behind it.
inline constexpr const char* closing = "\x04";

/// Answers each request on a unix socket with the next of `answers`, byte for byte; an answer "" closes the
/// connection, "hang" never comes.
class RecordedEngine {
 public:
  RecordedEngine(std::string path, std::vector<std::string> answers) : m_path(std::move(path)), m_answers(std::move(answers)), m_stop(Pipe::make()) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, m_path.c_str(), m_path.size() + 1);
    m_listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::bind(m_listener.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || ::listen(m_listener.get(), 8) != 0)
      throw std::system_error(errno, std::generic_category(), "bind " + m_path);
    m_thread = std::thread([this] { serve(); });
  }
  ~RecordedEngine() {
    m_stop.write.reset();
    m_thread.join();
  }
  RecordedEngine(const RecordedEngine&) = delete;
  RecordedEngine& operator=(const RecordedEngine&) = delete;

  [[nodiscard]] const std::string& path() const { return m_path; }
  /// Whole requests, as they came.
  [[nodiscard]] std::vector<std::string> requests() {
    const std::lock_guard<std::mutex> lock(m_mutex);
    return m_requests;
  }

 private:
  bool readable(int fd) {
    pollfd fds[2] = {{fd, POLLIN, 0}, {m_stop.read.get(), POLLIN, 0}};
    ::poll(fds, 2, -1);
    return fds[1].revents == 0;
  }
  bool read_request(int fd) {
    std::string text;
    for (;;) {
      const std::size_t end = text.find("\r\n\r\n");
      if (end != std::string::npos) {
        const std::size_t at = text.find("Content-Length: ");
        const std::size_t length = at < end ? std::stoul(text.substr(at + 16)) : 0;
        if (text.size() >= end + 4 + length) break;
      }
      char buffer[4096];
      if (!readable(fd)) return false;
      const ssize_t got = ::read(fd, buffer, sizeof buffer);
      if (got <= 0) return false;
      text.append(buffer, static_cast<std::size_t>(got));
    }
    const std::lock_guard<std::mutex> lock(m_mutex);
    m_requests.push_back(text);
    return true;
  }
  void serve() {
    std::size_t next = 0;
    while (readable(m_listener.get())) {
      const Fd client(::accept4(m_listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
      while (client && read_request(client.get())) {
        std::string answer = next < m_answers.size() ? m_answers[next] : std::string();
        ++next;
        if (answer.empty()) break;
        if (answer == "hang") {
          readable(-1);
          return;
        }
        const bool last = answer.back() == *closing;
        if (last) answer.pop_back();
        // In small pieces: no reader may rely on getting a head or a chunk at once.
        for (std::size_t at = 0; at < answer.size(); at += 7)
          if (::send(client.get(), answer.data() + at, std::min<std::size_t>(7, answer.size() - at), MSG_NOSIGNAL) < 0) break;
        if (last) break;
      }
    }
  }

  std::string m_path;
  std::vector<std::string> m_answers;
  Pipe m_stop;
  Fd m_listener;
  std::mutex m_mutex;
  std::vector<std::string> m_requests;
  std::thread m_thread;
};

inline std::string reply(int status, const std::string& json) {
  return "HTTP/1.1 " + std::to_string(status) + " X\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(json.size()) +
         "\r\n\r\n" + json;
}
// Recorded answers to GET /_ping, from which the versions are taken.
inline std::string docker_ping(const std::string& api = "1.41") {
  return "HTTP/1.1 200 OK\r\nApi-Version: " + api + "\r\nOstype: linux\r\nServer: Docker/20.10.24+dfsg1 (linux)\r\nContent-Length: 2\r\n\r\nOK";
}
inline std::string podman_ping() {
  return "HTTP/1.1 200 OK\r\nApi-Version: 1.41\r\nLibpod-Api-Version: 4.3.1\r\nLibpod-Buildah-Version: 1.28.2\r\n"
         "Server: Libpod/4.3.1 (linux)\r\nContent-Length: 2\r\n\r\nOK";
}

}  // namespace kortex::test
