/// The session holder's client in the operations of a runtime: what the host asks for in the session's words, and
/// the other way round. Header-only, C++17.
///
///     kortex::Exit exec(kortex::Call& call, const kortex::Ref& ref, const kortex::Execution& execution) override {
///       return session::exit_of(client.run(session::program_of(execution), session::streams_of(call.raw(), execution.raw)));
///     }
#ifndef KORTEX_SESSION_CALL_HPP
#define KORTEX_SESSION_CALL_HPP

#include <unistd.h>

#include <cerrno>
#include <exception>
#include <functional>
#include <thread>

#include <kortex/call.hpp>
#include <kortex/session.hpp>
#include <kortex/types.hpp>

namespace kortex::session {

[[nodiscard]] inline Program program_of(const Execution& execution) {
  Program program;
  program.argv = execution.argv;
  program.env = execution.env;
  program.cwd = execution.cwd;
  program.tty = execution.tty;
  program.rows = execution.rows;
  program.cols = execution.cols;
  return program;
}

[[nodiscard]] inline Exit exit_of(const End& end) { return {end.how, end.code}; }

/// What the agent writes from now on, to call.output(), until it ends. `before` is told where "now" is in the holder's
/// logs, before anything is handed over; it may hand over what they have up to there.
inline void follow_output(const Call& call, Client& client, const std::function<void(const LogEnd&)>& before) {
  // The client writes to a descriptor and the host takes bytes, so one thread does each.
  Pipe pipe = Pipe::make();
  Streams streams;
  streams.out = pipe.write.get();
  streams.cancel_fd = call.raw()->cancel_fd;
  std::exception_ptr failure;
  std::thread follower([&] {
    try {
      (void)client.follow(streams, before);
    } catch (...) {
      failure = std::current_exception();
    }
    pipe.write.reset();
  });
  try {
    char buffer[64 * 1024];
    for (;;) {
      const ssize_t got = ::read(pipe.read.get(), buffer, sizeof buffer);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) break;
      call.output(KORTEX_STREAM_STDOUT, {buffer, static_cast<std::size_t>(got)});
    }
  } catch (...) {
    pipe.read.reset();  // the follower's next write fails and ends it
    follower.join();
    throw;
  }
  follower.join();
  call.throw_if_cancelled();
  if (failure) std::rethrow_exception(failure);
}

}  // namespace kortex::session
#endif
