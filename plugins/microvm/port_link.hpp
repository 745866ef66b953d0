/// A byte stream to the session holder in the guest, through one of the machine's virtio ports. What is said on a
/// port is described in guest/bridge.c.
#pragma once

#include <memory>
#include <string>
#include <thread>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

#include "instance_files.hpp"

namespace kortex::microvm {

enum class PortUse {
  session,  ///< of a user
  control   ///< of the runtime itself: there is always a port for it
};

/// Tells the guest's first program, not the session holder, to end the machine in good order. What is returned must stay
/// open until it has; it is empty when nobody can be told.
[[nodiscard]] Fd ask_to_power_down(const InstanceFiles&);

class PortLink {
 public:
  /// Returns when the guest answers. Throws session::Error: BUSY: all ports are in use; TIMEOUT; BACKEND: the machine
  /// has ended; NOT_FOUND: there is none. Throws Cancelled.
  PortLink(const Call&, const InstanceFiles&, PortUse, std::chrono::milliseconds limit);
  PortLink(const PortLink&) = delete;
  PortLink& operator=(const PortLink&) = delete;
  /// After whatever stream() gave has been closed.
  ~PortLink();

  /// The holder's byte stream. Closing it ends the session.
  [[nodiscard]] Fd stream() { return std::move(m_client_end); }

 private:
  void choose_port(const InstanceFiles&, PortUse);
  [[nodiscard]] std::string greet(const Call&, std::chrono::milliseconds limit) const;

  Fd m_lock;  // of the port, by one byte of the file `ports`
  Fd m_port;
  Fd m_client_end;
  std::thread m_pump;
};

}  // namespace kortex::microvm
