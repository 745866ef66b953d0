/// The agent's output so far and from now on, as a descriptor to read: the session's client writes to one, and
/// kortex_call's output() wants bytes.
#pragma once

#include <limits.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <thread>

#include <kortex/fd.hpp>
#include <kortex/session.hpp>

#include "instance_files.hpp"

namespace kortex::process {

class FollowedOutput {
 public:
  /// `tail`: lines of the output so far; -1: all.
  FollowedOutput(const InstanceFiles& files, const std::string& socket, std::int64_t tail)
      : m_log0(files.path("output.0")),
        m_log1(files.path("output.1")),
        m_tail(tail),
        m_client(session::Client::connect(socket)), m_pipe(Pipe::make()), m_enough(::eventfd(0, EFD_CLOEXEC)) {
    if (!m_enough) throw std::system_error(errno, std::generic_category(), "eventfd");
    m_thread = std::thread([this] { run(); });
  }
  FollowedOutput(const FollowedOutput&) = delete;
  FollowedOutput& operator=(const FollowedOutput&) = delete;
  ~FollowedOutput() {
    ::eventfd_write(m_enough.get(), 1);
    m_thread.join();
  }

  /// At its end when the agent has ended.
  [[nodiscard]] int fd() const { return m_pipe.read.get(); }

 private:
  void run() noexcept {
    try {
      session::Streams streams;
      streams.out = m_pipe.write.get();
      streams.cancel_fd = m_enough.get();
      (void)m_client.follow(streams, [this](const session::LogEnd& now) {
        session::read_log(m_log0, m_log1, m_tail, [this](const char* data, std::size_t size) { return hand_over(data, size); }, now);
      });
    } catch (const std::exception&) {
      // The holder has gone, and the output with it: that is its end.
    }
    m_pipe.write.reset();
  }

  /// Non-zero: enough, nobody reads it.
  int hand_over(const char* data, std::size_t size) const {
    while (size > 0) {
      pollfd fds[2] = {{m_pipe.write.get(), POLLOUT, 0}, {m_enough.get(), POLLIN, 0}};
      if (::poll(fds, 2, -1) < 0 && errno == EINTR) continue;
      if (fds[1].revents != 0) return 1;
      // A pipe that POLLOUT is told of takes so much without blocking.
      const ssize_t written = ::write(m_pipe.write.get(), data, std::min<std::size_t>(size, PIPE_BUF));
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return 1;
      data += written;
      size -= static_cast<std::size_t>(written);
    }
    return 0;
  }

  std::string m_log0, m_log1;
  std::int64_t m_tail;
  session::Client m_client;
  Pipe m_pipe;
  Fd m_enough;
  std::thread m_thread;
};

}  // namespace kortex::process
