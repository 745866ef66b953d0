/// One descriptor for "the user cancelled" and "this has taken long enough", for what takes only one.
#pragma once

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <cerrno>
#include <chrono>
#include <system_error>

#include <kortex/fd.hpp>

namespace kortex::process {

class TimeLimit {
 public:
  /// `cancel_fd` is borrowed; -1: none.
  TimeLimit(int cancel_fd, std::chrono::milliseconds limit)
      : m_timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)), m_either(::epoll_create1(EPOLL_CLOEXEC)) {
    itimerspec when{};
    when.it_value.tv_sec = static_cast<time_t>(limit.count() / 1000);
    when.it_value.tv_nsec = static_cast<long>(limit.count() % 1000) * 1000000;
    if (!m_timer || !m_either || ::timerfd_settime(m_timer.get(), 0, &when, nullptr) != 0) fail();
    watch(m_timer.get());
    if (cancel_fd >= 0) watch(cancel_fd);
  }
  [[nodiscard]] int fd() const { return m_either.get(); }

 private:
  [[noreturn]] static void fail() { throw std::system_error(errno, std::generic_category(), "cannot set a time limit"); }
  void watch(int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(m_either.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail();
  }

  Fd m_timer, m_either;
};

}  // namespace kortex::process
