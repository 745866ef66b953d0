// An engine's answers, byte for byte. The first byte says what is asked.
#include "engine/http.hpp"

#include <sys/socket.h>

#include "call_without_host.hpp"
#include "invariant.hpp"

using namespace kortex;
using namespace kortex::engine;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  int ends[2];
  fuzz::require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) == 0, "there are descriptors");
  const Fd engine(ends[0]);
  Connection connection{Fd(ends[1])};
  if (::send(engine.get(), data + 1, size - 1, MSG_NOSIGNAL) < static_cast<ssize_t>(size - 1)) return 0;  // more than a socket holds
  ::shutdown(engine.get(), SHUT_WR);
  const Call call(&fuzz::call_without_host());
  std::size_t taken = 0;
  try {
    if ((data[0] & 1) != 0) {
      Response refusal;
      if (const auto stream = connection.hijack(call, {"POST", "/exec", "{}"}, refusal))
        fuzz::require(stream->early.size() <= size, "what came behind the head was sent");
      return 0;
    }
    for (int i = 0; i < 4 && connection.usable(); ++i) {
      const Connection::Sink sink = (data[0] & 2) == 0 ? Connection::Sink() : [&](std::string_view piece) { taken += piece.size(); };
      const Response response = connection.exchange(call, {"GET", "/a", ""}, sink);
      taken += response.body.size();
      fuzz::require(taken <= size, "a body is not longer than what was sent");
    }
  } catch (const Error& error) {
    fuzz::require(*error.what() != '\0' && !connection.usable(), "after an error nothing more is asked");
  }
  return 0;
}
