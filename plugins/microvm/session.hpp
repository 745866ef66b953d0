/// A client of the session holder in the guest, and the link that carries it.
#pragma once

#include <functional>

#include <kortex/session.hpp>

#include "port_link.hpp"

namespace kortex::microvm {

class Session {
 public:
  /// `limit`: for the guest to answer, and then for the session holder. An emulated machine on a busy one takes its time.
  Session(const Call& call, const InstanceFiles& files, PortUse use = PortUse::session, std::chrono::milliseconds limit = std::chrono::seconds(60))
      : m_link(call, files, use, limit), m_client(connect(m_link, limit)) {}

  [[nodiscard]] session::Client& client() { return m_client; }

 private:
  static session::Client connect(PortLink& link, std::chrono::milliseconds limit) {
    Fd in = link.stream();
    Fd out(::fcntl(in.get(), F_DUPFD_CLOEXEC, 3));
    return session::Client(std::move(in), std::move(out), static_cast<int>(limit.count()));
  }

  PortLink m_link;
  session::Client m_client;  // after the link: it goes first
};

/// One descriptor for "the user cancelled" and "this has taken long enough", for what takes only one.
class TimeLimit {
 public:
  /// `cancel_fd` is borrowed; -1: none.
  TimeLimit(int cancel_fd, std::chrono::milliseconds limit);
  [[nodiscard]] int fd() const { return m_either.get(); }

 private:
  Fd m_timer, m_either;
};

/// What the agent has written (the last `tail` lines of it; -1: all) and writes from now on, to `sink`, until it ends.
/// Throws Cancelled.
void follow(const Call&, const InstanceFiles&, session::Client&, std::int64_t tail, const std::function<void(std::string_view)>& sink);

}  // namespace kortex::microvm
