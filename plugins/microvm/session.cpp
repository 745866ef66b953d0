#include "session.hpp"

#include <limits.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <exception>

#include "files.hpp"

namespace kortex::microvm {

TimeLimit::TimeLimit(int cancel_fd, std::chrono::milliseconds limit)
    : m_timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)), m_either(::epoll_create1(EPOLL_CLOEXEC)) {
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(limit.count() / 1000);
  when.it_value.tv_nsec = static_cast<long>(limit.count() % 1000) * 1000000 + 1;
  if (!m_timer || !m_either || ::timerfd_settime(m_timer.get(), 0, &when, nullptr) != 0) fail_system("cannot set a time limit");
  for (const int fd : {m_timer.get(), cancel_fd}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (fd >= 0 && ::epoll_ctl(m_either.get(), EPOLL_CTL_ADD, fd, &event) != 0) fail_system("cannot set a time limit");
  }
}

namespace {

/// Non-zero: enough, nobody reads it.
int hand_over(int pipe, int enough, const char* data, std::size_t size) {
  while (size > 0) {
    pollfd fds[2] = {{pipe, POLLOUT, 0}, {enough, POLLIN, 0}};
    if (::poll(fds, 2, -1) < 0 && errno == EINTR) continue;
    if (fds[1].revents != 0) return 1;
    // A pipe that POLLOUT is told of takes so much without blocking.
    const ssize_t written = ::write(pipe, data, std::min<std::size_t>(size, PIPE_BUF));
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return 1;
    data += written;
    size -= static_cast<std::size_t>(written);
  }
  return 0;
}

}  // namespace

void follow(const Call& call, const InstanceFiles& files, session::Client& client, std::int64_t tail,
            const std::function<void(std::string_view)>& sink) {
  // The client writes to a descriptor and the host takes bytes, so one thread does each.
  Pipe pipe = Pipe::make();
  const Fd enough(::eventfd(0, EFD_CLOEXEC));
  if (!enough) fail_system("eventfd");
  std::thread follower([&] {
    try {
      session::Streams streams;
      streams.out = pipe.write.get();
      streams.cancel_fd = enough.get();
      (void)client.follow(streams, [&](const session::LogEnd& now) {
        files.read_output(tail, [&](const char* data, std::size_t size) { return hand_over(streams.out, enough.get(), data, size); }, now);
      });
    } catch (const std::exception&) {
      // The holder has gone, and the output with it: that is its end.
    }
    pipe.write.reset();
  });
  std::exception_ptr failure;
  try {
    for (;;) {
      call.wait_readable(pipe.read.get());
      char bytes[16384];
      const ssize_t size = ::read(pipe.read.get(), bytes, sizeof bytes);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      sink({bytes, static_cast<std::size_t>(size)});
    }
  } catch (...) {
    failure = std::current_exception();
  }
  ::eventfd_write(enough.get(), 1);
  pipe.read.reset();
  follower.join();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace kortex::microvm
