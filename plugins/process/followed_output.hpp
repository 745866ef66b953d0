/// The agent's output from now on, as a descriptor to read: the session's client writes to one, and kortex_call's
/// output() wants bytes.
#pragma once

#include <sys/eventfd.h>

#include <string>
#include <thread>

#include <kortex/fd.hpp>
#include <kortex/session.hpp>

namespace kortex::process {

class FollowedOutput {
 public:
  explicit FollowedOutput(const std::string& socket)
      : m_client(session::Client::connect(socket)), m_pipe(Pipe::make()), m_enough(::eventfd(0, EFD_CLOEXEC)) {
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
      (void)m_client.follow(streams);
    } catch (const std::exception&) {
      // The holder has gone, and the output with it: that is its end.
    }
    m_pipe.write.reset();
  }

  session::Client m_client;
  Pipe m_pipe;
  Fd m_enough;
  std::thread m_thread;
};

}  // namespace kortex::process
