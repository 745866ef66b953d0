/// The session holder of a container, reached by running its relay in there with `container exec` as the pipe: a socket
/// in a folder that is shared with a virtual machine cannot be connected to from outside.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <thread>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>
#include <kortex/session.hpp>

namespace kortex::apple {

/// Lives as long as its client is used. What it has started ends with it, also where that hangs.
class ExecRelay {
 public:
  /// `command`: the relay's, beginning with the tool. Throws session::Error NOT_FOUND when the container does not run or
  /// nobody serves in it, TIMEOUT, UNAVAILABLE; Cancelled.
  [[nodiscard]] static std::unique_ptr<ExecRelay> open(const Call& call, const std::vector<std::string>& command, std::chrono::milliseconds patience);
  ~ExecRelay();
  ExecRelay(const ExecRelay&) = delete;
  ExecRelay& operator=(const ExecRelay&) = delete;

  [[nodiscard]] session::Client& client() { return *m_client; }

 private:
  ExecRelay() = default;
  void greet(const Call& call, Fd in, Fd out, std::chrono::milliseconds patience);
  void end(std::chrono::milliseconds patience);
  /// Of its stderr, what there is; returns when it has ended or after the time. True: ended.
  bool listen_until_end(std::chrono::milliseconds patience);

  pid_t m_pid = -1;
  Fd m_stderr;
  std::string m_complaint;
  std::unique_ptr<session::Client> m_client;
};

}  // namespace kortex::apple
