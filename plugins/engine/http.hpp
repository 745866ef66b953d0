/// HTTP/1.1 over a unix socket, as container engines speak it. Blocking, one connection kept open; every
/// wait ends at once when the call is cancelled and with KORTEX_E_TIMEOUT at its deadline. Not thread-safe.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

namespace kortex::engine {

/// A non-blocking stream to `path`, which may be longer than a socket address can hold.
[[nodiscard]] Fd connect_unix(const std::string& path, std::error_code& error);

struct Request {
  const char* method = "GET";
  std::string target;
  std::string body;  ///< JSON, unless `content_type` says otherwise
  const char* content_type = "application/json";
  std::string more_headers = {};  ///< "Name: value\r\n"...
  int body_fd = -1;  ///< read to its end and sent in chunks, instead of `body`; borrowed
};

struct Response {
  unsigned status = 0;
  std::vector<std::pair<std::string, std::string>> headers;  ///< names in lower case
  std::string body;  ///< empty where a sink took it

  /// "" where there is none.
  [[nodiscard]] std::string header(std::string_view name) const;
};

/// The peer closed before it answered: the request had no effect that we know of.
class ConnectionLost : public Error {
 public:
  ConnectionLost() : Error(KORTEX_E_UNAVAILABLE, "the engine closed the connection") {}
};

class Connection {
 public:
  explicit Connection(Fd socket) : m_socket(std::move(socket)) {}

  /// Given pieces of a successful (2xx) body as they arrive; error bodies are always collected.
  using Sink = std::function<void(std::string_view)>;
  [[nodiscard]] Response exchange(const Call& call, const Request& request, const Sink& sink = {});

  /// Asks for `Upgrade: tcp` and gives the raw stream away, together with the bytes that came behind the head.
  struct Stream {
    Fd socket;
    std::string early;
  };
  /// nullopt: refused, and `refusal` says why. Engines answer 101 or 200.
  [[nodiscard]] std::optional<Stream> hijack(const Call& call, Request request, Response& refusal);

  [[nodiscard]] bool usable() const { return static_cast<bool>(m_socket); }

 private:
  void send(const Call& call, std::string_view bytes);
  void send_chunks(const Call& call, int fd);
  /// False at the end of the stream.
  [[nodiscard]] bool receive(const Call& call);

  Fd m_socket;
  std::string m_unread;
};

/// `text` for a path or a query value; '/', ':' and '@' stay, as image names have them in paths.
[[nodiscard]] std::string url_encoded(std::string_view text);

}  // namespace kortex::engine
