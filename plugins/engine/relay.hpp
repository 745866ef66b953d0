/// The session holder of a container whose files are not on this machine: reached by running its relay in the
/// container, with the engine's exec as the pipe.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <thread>

#include <kortex/call.hpp>
#include <kortex/session.hpp>

#include "engine/api.hpp"

namespace kortex::engine {

/// Carries bytes between a session::Client and a program in a container. Lives as long as the client is used.
class Relay {
 public:
  /// Throws session::Error NOT_FOUND when the container does not run or no holder serves in it.
  [[nodiscard]] static std::unique_ptr<Relay> open(Api& api, const std::string& container);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] session::Client& client() { return *m_client; }

 private:
  Relay(const Call& call, Connection::Stream stream, Fd ours);
  void pump();

  const int m_cancel_fd;
  std::atomic<bool> m_greeted = false;  ///< from here on the client itself looks after the call
  Connection::Stream m_stream;
  Fd m_ours;  ///< the pump's end of the client's stream
  Pipe m_stop;
  std::string m_complaint;  ///< what the relay said on stderr; the pump's until it has been joined
  std::thread m_thread;
  std::unique_ptr<session::Client> m_client;
};

}  // namespace kortex::engine
