/// The signals that mean something to a working operation, as a descriptor to poll.
#pragma once

#include <sys/signalfd.h>

#include <csignal>
#include <optional>

#include <kortex/fd.hpp>

#include "runtimes/operation.hpp"

namespace kortex::host {

/// Blocks them while it lives. Those that the process ignores (nohup) stay ignored.
class SignalWatch {
 public:
  explicit SignalWatch(Streams streams);
  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;
  ~SignalWatch();

  [[nodiscard]] int fd() const { return m_fd.get(); }
  /// The next one that has arrived; its number, or 0.
  [[nodiscard]] int next();
  [[nodiscard]] const sigset_t& mask_before() const { return m_before; }

 private:
  sigset_t m_before{};
  Fd m_fd;
};

}  // namespace kortex::host
