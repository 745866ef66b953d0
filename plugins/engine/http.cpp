#include "engine/http.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <boost/beast/http/basic_parser.hpp>
#include <cstdio>
#include <cstring>

namespace kortex::engine {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

/// Beast's parser, fed by hand: it does no I/O, so that the waits are ours and can be cancelled.
class Parser : public http::basic_parser<false> {
 public:
  Parser(Response& out, const Connection::Sink& sink) : m_out(out), m_sink(sink) {
    eager(true);
    body_limit(boost::none);
    header_limit(64 * 1024);
  }

 private:
  void on_request_impl(http::verb, string_view, string_view, int, error_code&) override {}
  void on_response_impl(int status, string_view, int, error_code&) override { m_out.status = static_cast<unsigned>(status); }
  void on_field_impl(http::field, string_view name, string_view value, error_code&) override {
    std::string lower(name.data(), name.size());
    for (char& c : lower)
      if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    m_out.headers.emplace_back(std::move(lower), std::string(value.data(), value.size()));
  }
  void on_header_impl(error_code&) override {}
  void on_body_init_impl(boost::optional<std::uint64_t> const&, error_code&) override {}
  std::size_t on_body_impl(string_view body, error_code&) override { return take(body); }
  void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return take(body); }
  void on_finish_impl(error_code&) override {}

  std::size_t take(string_view body) {
    if (m_sink && m_out.status / 100 == 2) {
      m_sink({body.data(), body.size()});
    } else {
      m_out.body.append(body.data(), body.size());
      // An engine's answers are at most a few megabytes for thousands of containers.
      if (m_out.body.size() > 256u * 1024 * 1024) throw Error(KORTEX_E_BACKEND, "the engine's answer is too long");
    }
    return body.size();
  }

  Response& m_out;
  const Connection::Sink& m_sink;
};

[[noreturn]] void not_http(const error_code& error) {
  throw Error(KORTEX_E_BACKEND, "cannot understand the engine's answer: " + error.message());
}

std::string head_of(const Request& request) {
  std::string out = request.method;
  out += ' ' + request.target + " HTTP/1.1\r\nHost: engine\r\nUser-Agent: kortex\r\n" + request.more_headers;
  const bool bodyless = request.body.empty() && std::strcmp(request.method, "POST") != 0;
  if (request.body_fd >= 0) {
    out += std::string("Content-Type: ") + request.content_type + "\r\nTransfer-Encoding: chunked\r\n";
  } else if (!bodyless) {
    if (!request.body.empty()) out += std::string("Content-Type: ") + request.content_type + "\r\n";
    out += "Content-Length: " + std::to_string(request.body.size()) + "\r\n";
  }
  return out + "\r\n";
}

}  // namespace

Fd connect_unix(const std::string& path, std::error_code& error) {
  error.clear();
  const auto failed = [&error] {
    error.assign(errno, std::generic_category());
    return Fd();
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::string name = path;
  Fd directory;
  if (name.size() >= sizeof address.sun_path) {
    const std::size_t slash = path.rfind('/');
    directory.reset(::open(path.substr(0, slash).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!directory) return failed();
    name = "/proc/self/fd/" + std::to_string(directory.get()) + path.substr(slash);
    if (name.size() >= sizeof address.sun_path) {
      errno = ENAMETOOLONG;
      return failed();
    }
  }
  std::memcpy(address.sun_path, name.c_str(), name.size() + 1);
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket || ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return failed();
  ::fcntl(socket.get(), F_SETFL, O_NONBLOCK);
  return socket;
}

std::string Response::header(std::string_view name) const {
  for (const auto& [key, value] : headers)
    if (key == name) return value;
  return {};
}

void Connection::send(const Call& call, std::string_view bytes) {
  while (!bytes.empty()) {
    call.throw_if_cancelled();
    const ssize_t sent = ::send(m_socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (errno == EAGAIN) {
      // A stalled reader is looked after ten times a second, for the call's sake.
      pollfd fd{m_socket.get(), POLLOUT, 0};
      ::poll(&fd, 1, 100);
    } else if (errno != EINTR) {
      m_socket.reset();
      throw ConnectionLost();
    }
  }
}

void Connection::send_chunks(const Call& call, int fd) {
  std::vector<char> buffer(256 * 1024);
  for (;;) {
    call.wait_readable(fd);
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (got < 0) throw std::system_error(errno, std::generic_category(), "cannot read what is to be sent");
    char size[32];
    std::snprintf(size, sizeof size, "%zx\r\n", static_cast<std::size_t>(got));
    send(call, size + std::string(buffer.data(), static_cast<std::size_t>(got)) + "\r\n");
    if (got == 0) return;
  }
}

bool Connection::receive(const Call& call) {
  char buffer[64 * 1024];
  for (;;) {
    const ssize_t got = ::recv(m_socket.get(), buffer, sizeof buffer, 0);
    if (got > 0) {
      m_unread.append(buffer, static_cast<std::size_t>(got));
      return true;
    }
    if (got == 0 || errno == ECONNRESET) return false;
    if (errno == EAGAIN)
      call.wait_readable(m_socket.get());
    else if (errno != EINTR)
      throw std::system_error(errno, std::generic_category(), "cannot read from the engine");
  }
}

Response Connection::exchange(const Call& call, const Request& request, const Sink& sink) {
  // Whatever leaves this function early leaves the stream in the middle of an answer.
  struct Guard {
    Fd& socket;
    bool whole = false;
    ~Guard() {
      if (!whole) socket.reset();
    }
  } guard{m_socket};
  send(call, head_of(request) + request.body);
  if (request.body_fd >= 0) send_chunks(call, request.body_fd);
  Response response;
  Parser parser(response, sink);
  bool starved = m_unread.empty();
  while (!parser.is_done()) {
    error_code error;
    if (starved && !receive(call)) {
      if (!parser.got_some()) throw ConnectionLost();
      parser.put_eof(error);
      if (error) not_http(error);
      break;
    }
    const std::size_t used = parser.put(boost::asio::const_buffer(m_unread.data(), m_unread.size()), error);
    m_unread.erase(0, used);
    if (error && error != http::error::need_more) not_http(error);
    starved = m_unread.empty() || error == http::error::need_more || used == 0;
  }
  guard.whole = parser.keep_alive();
  return response;
}

std::optional<Connection::Stream> Connection::hijack(const Call& call, Request request, Response& refusal) {
  // Given away or left in the middle of an answer: no request can follow on it.
  struct Guard {
    Fd& socket;
    ~Guard() { socket.reset(); }
  } guard{m_socket};
  request.more_headers += "Connection: Upgrade\r\nUpgrade: tcp\r\n";
  send(call, head_of(request) + request.body);
  // The parser must not see what follows the head: it is no HTTP any more.
  std::size_t end = std::string::npos;
  while ((end = m_unread.find("\r\n\r\n")) == std::string::npos) {
    if (!receive(call)) throw ConnectionLost();
    if (m_unread.size() > 64 * 1024) throw Error(KORTEX_E_BACKEND, "cannot understand the engine's answer: its head is too long");
  }
  const std::string head = m_unread.substr(0, end + 4);
  if (head.rfind("HTTP/1.1 101", 0) == 0 || head.rfind("HTTP/1.1 200", 0) == 0 || head.rfind("HTTP/1.1 201", 0) == 0) {
    Stream stream;
    stream.early = m_unread.substr(end + 4);
    stream.socket = std::move(m_socket);
    m_unread.clear();
    return stream;
  }
  const Sink none;
  Parser parser(refusal, none);
  for (;;) {
    error_code error;
    const std::size_t used = parser.put(boost::asio::const_buffer(m_unread.data(), m_unread.size()), error);
    m_unread.erase(0, used);
    if (error && error != http::error::need_more) not_http(error);
    if (parser.is_done() || !receive(call)) break;
  }
  return std::nullopt;
}

std::string url_encoded(std::string_view text) {
  static constexpr char hex[] = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const unsigned char byte = static_cast<unsigned char>(c);
    const bool plain = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || (byte >= '0' && byte <= '9') ||
                       std::strchr("-._~/:@", byte) != nullptr;
    if (plain && byte != 0) {
      out += c;
    } else {
      out += '%';
      out += hex[byte >> 4];
      out += hex[byte & 15];
    }
  }
  return out;
}

}  // namespace kortex::engine
