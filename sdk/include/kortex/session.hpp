/// The session holder's client: one terminal contract for every runtime. Header-only, C++17, no dependency
/// but the C library.
///
/// The holder (`kortex-session`, a static program) is the instance's main process. It owns the agent's
/// pseudo-terminal, keeps its recent output, runs further programs, and serves one connection per
/// session on a stream. A plugin connects to it over whatever its backend offers (a socket in the
/// instance's directory, an engine's exec as a pipe, a virtio port), and gets attach, detach, replay, resize,
/// exit statuses and clean pipes without writing any of it:
///
///     kortex::session::Client client = kortex::session::Client::connect(dir + "/session.sock");
///     kortex::session::End end = client.attach(streams_of(call, args));
///
/// One connection carries one session: any number of status() and start_agent(), then one of attach(), follow(),
/// run(), wait(), stop(), after which the Client is spent. Destroying it ends the session.
/// Threads: a Client belongs to one thread. Errors: session::Error, with a KORTEX_E_* code; CANCELLED when
/// cancel_fd became readable (attach() and follow() return DETACHED instead); BACKEND when the holder vanished.
/// What the holder keeps in the instance's directory is described in <kortex/session_protocol.h>.
#ifndef KORTEX_SESSION_HPP
#define KORTEX_SESSION_HPP

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <kortex/error.hpp>
#include <kortex/fd.hpp>
#include <kortex/runtime.h>
#include <kortex/session_protocol.h>

namespace kortex::session {

namespace detail {
std::string reason(int error);
}

/// A kortex::Error, so that it reaches the user when a plugin lets it through.
class Error : public kortex::Error {
 public:
  using kortex::Error::Error;
};

/// A program to run in the instance.
struct Program {
  std::vector<std::string> argv;
  std::vector<std::string> env;  ///< "K=V"; agent: its whole environment; run(): added to the agent's
  std::string cwd;               ///< empty: the agent's
  bool tty = false;
  std::uint16_t rows = 0, cols = 0;
};

/// What a client says to a new holder to start its agent, for whoever is nearer to the holder to say it. The holder answers HELLO, then OK or ERROR.
[[nodiscard]] std::string start_message(const Program&);

/// The user's side of a session; descriptors are borrowed. -1: none.
struct Streams {
  int in = -1, out = -1, err = -1;
  int resize_fd = -1, signal_fd = -1, cancel_fd = -1;  ///< of kortex_call
  bool tty = false;
  std::uint16_t rows = 0, cols = 0;  ///< at the start; afterwards asked of `out`, then `in`
  std::string detach_keys;           ///< attach(): empty: cannot be left
};
/// What an exec() or terminal() was called with.
[[nodiscard]] Streams streams_of(const kortex_call*, const kortex_exec_args*);

struct End {
  kortex_end how = KORTEX_END_EXITED;
  int code = 0;
};

struct Status {
  enum class Agent { not_started, running, ended };
  Agent agent = Agent::not_started;
  std::int64_t agent_pid = 0;  ///< as the holder sees it (its pid namespace)
  std::int64_t started_ms = 0;
  int exit_code = -1;          ///< when ended
  unsigned viewers = 0;
};

/// A place in the holder's logs.
struct LogEnd {
  bool known = false;      ///< an older holder does not tell
  unsigned file = 0;       ///< the one being written
  std::uint64_t size = 0;  ///< of it
};

class Client {
 public:
  /// `path` may be longer than a socket address can hold. Throws NOT_FOUND: nobody serves there; TIMEOUT.
  [[nodiscard]] static Client connect(const std::string& path, int timeout_ms = 5000);
  /// Over any byte stream, the same descriptor twice (moved dup) or a pair.
  Client(Fd in, Fd out, int timeout_ms = 5000);

  [[nodiscard]] Status status();
  /// Starts the agent, once in the holder's life. Throws STATE: it has been started; FAILED: its program cannot be run, and why.
  void start_agent(const Program&);
  /// The agent's session: replays its recent screen, then is live. `read_only`: sends no input and no size.
  [[nodiscard]] End attach(const Streams&, bool read_only = false);
  /// The agent's output as it comes from now on, without replay, input or size: for `logs --follow`. `before` is called first,
  /// with where "now" is in the logs: what they have up to there and what follows is all of the output, once.
  [[nodiscard]] End follow(const Streams&, const std::function<void(const LogEnd&)>& before = {});
  /// Another program, with a terminal of its own or with three pipes. When this side vanishes it is ended (SIGHUP, then SIGKILL).
  [[nodiscard]] End run(const Program&, const Streams&);
  /// SIGTERM to the agent, after `grace_ms` SIGKILL to everything. Returns when the holder has gone.
  void stop(int grace_ms, int cancel_fd = -1);
  /// Returns when the agent has ended.
  [[nodiscard]] End wait(int cancel_fd = -1);

  /// End{STOPPED} where stop() ended the agent.

 private:
  class Session;  // attach, follow, run: the loop between the user's streams and the holder
  struct Frame {
    std::uint8_t type = 0;
    std::string payload;
  };
  void send(std::uint8_t type, const std::string& payload = {});
  bool flush(bool may_wait);
  Frame receive(int cancel_fd = -1, bool may_end = false);
  bool fill(int cancel_fd, int timeout_ms);
  End await_end(int cancel_fd);
  [[noreturn]] static void rethrow(const Frame&);

  Fd m_in, m_out;
  int m_timeout_ms = 5000;
  std::string m_outgoing;
  std::size_t m_sent = 0;       // of m_outgoing
  static constexpr std::size_t incoming_size = 256 << 10;
  std::unique_ptr<char[]> m_incoming;  // not cleared: most of it is never touched, and the first touch of a page is what costs
  std::size_t m_begin = 0, m_end = 0;  // of m_incoming: what has not been looked at
};

/// The holder's status file. Missing file: nothing was ever served.
struct StatusFile {
  bool serving = false, started = false, ended = false;
  std::int64_t serving_ms = 0, started_ms = 0, ended_ms = 0;  ///< Unix time
  std::int64_t agent_pid = 0;                                 ///< as the holder sees it
  int exit_code = -1;
};
[[nodiscard]] StatusFile read_status_file(const std::string& path);

/// Non-zero: stop reading.
using LogSink = std::function<int(const char* data, std::size_t size)>;
/// The agent's output from the holder's two log files, oldest first; `tail_lines` from the end, -1: all. A missing
/// file is an empty one. Throws FAILED: a file cannot be read.
void read_log(const std::string& path0, const std::string& path1, std::int64_t tail_lines, const LogSink&, const LogEnd& up_to = {});

}  // namespace kortex::session

#include <kortex/session_client.hpp>
#include <kortex/session_records.hpp>
#endif
