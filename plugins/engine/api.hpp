/// The docker-compatible API of a container engine: docker from 20.10, podman from 4.0. One object serves one
/// operation over one connection. The API's version is negotiated at the first request. Every function throws
/// kortex::Error: UNAVAILABLE when the engine is not there, NOT_FOUND, EXISTS, STATE, RESOURCE or BACKEND for
/// what it answered, with the engine's own words.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <kortex/call.hpp>

#include "engine/http.hpp"
#include "engine/json_read.hpp"
#include "engine/ssh.hpp"

namespace kortex::engine {

/// How messages speak of the engine, and what helps when it is not there.
struct Address {
  std::string engine;      ///< "docker"
  std::string socket;      ///< path of the unix socket, here
  std::string start_hint;  ///< to type when nobody listens there
  std::string access_hint; ///< to type when the socket refuses us
  std::string shown = {};  ///< where that is for people: "'/run/x.sock' on 'user@machine'"; empty: `socket`
};

class Api {
 public:
  /// Contacts nobody. `call` must outlive it.
  Api(const Call& call, Address address) : m_call(call), m_address(std::move(address)) {}
  /// Over a stream that has been opened already.
  Api(const Call& call, Address address, Fd socket)
      : m_call(call), m_address(std::move(address)), m_connection(std::move(socket)) {}

  [[nodiscard]] const std::string& engine() const { return m_address.engine; }
  [[nodiscard]] const std::string& socket() const { return m_address.socket; }
  [[nodiscard]] std::string shown() const { return m_address.shown.empty() ? "'" + m_address.socket + "'" : m_address.shown; }
  [[nodiscard]] const Call& call() const { return m_call; }
  /// The ssh connection that leads to it; null: the engine is on this machine.
  [[nodiscard]] const SshConnection* remote() const { return m_remote.get(); }
  void came_by(std::shared_ptr<const SshConnection> connection) { m_remote = std::move(connection); }
  /// "20.10.24", "4.3.1".
  [[nodiscard]] const std::string& version();
  [[nodiscard]] const std::string& api_version();
  /// Podman answers there, and has /libpod beside the docker-compatible paths.
  [[nodiscard]] bool has_libpod();

  /// Any request; `path` begins below the version ("/containers/json", "/libpod/info"). Does not judge the
  /// status.
  [[nodiscard]] Response request(const char* method, const std::string& path, const std::string& body = {},
                                 const Connection::Sink& sink = {}, const std::string& more_headers = {});
  /// The same; throws unless the status is 2xx or 304. `what`: "start container of 'demo'".
  json::value ask(const std::string& what, const char* method, const std::string& path, const std::string& body = {});
  /// The answer as JSON; null when there is none.
  [[nodiscard]] json::value parsed(const Response& response) const;
  /// Throws what a refusal means.
  [[noreturn]] void refuse(const std::string& what, const Response& response) const;

  // Containers. `id`: an id or a name.

  /// null: no such container.
  [[nodiscard]] json::value inspect(const std::string& id);
  /// Those that have the label: "io.kortex.key", or "io.kortex.key=value".
  [[nodiscard]] json::value list(const std::string& label);
  [[nodiscard]] std::string create(const std::string& what, const std::string& path, const json::value& body);
  void start(const std::string& what, const std::string& id);
  /// SIGTERM, after `grace_s` SIGKILL; returns when it does not run. One that does not run is done.
  void stop(const std::string& what, const std::string& id, int grace_s);
  void kill(const std::string& what, const std::string& id);
  void unpause(const std::string& what, const std::string& id);
  /// With its anonymous volumes; one that is missing is done.
  void remove(const std::string& what, const std::string& id);
  /// The last `lines` of what its main process wrote.
  [[nodiscard]] std::string output_tail(const std::string& id, int lines);

  // Files in a container, whether it runs or not.

  /// Unpacks a tar archive below `path`, which exists.
  void put_archive(const std::string& what, const std::string& id, const std::string& path, const std::string& archive);
  /// The same, read from a descriptor to its end.
  void put_archive(const std::string& what, const std::string& id, const std::string& path, int archive_fd);
  /// A tar archive of `path`; empty: there is none.
  [[nodiscard]] std::string get_archive(const std::string& id, const std::string& path);

  // Images.

  /// null: not here.
  [[nodiscard]] json::value image(const std::string& name);
  /// Asks the engine to fetch it; `progress` as it goes. Throws what the registry said.
  using PullProgress = std::function<void(std::int64_t done, std::int64_t total, const std::string& status)>;
  void pull(const std::string& name, const std::string& auth, const PullProgress& progress);
  /// One that is missing or in use is left alone.
  void remove_image(const std::string& name);

  // A program beside the main process, as a transport.

  struct ExecStream {
    std::string id;
    Connection::Stream stream;  ///< framed: see RawStream
  };
  [[nodiscard]] ExecStream exec(const std::string& what, const std::string& id, const json::value& body);
  [[nodiscard]] int exec_exit_code(const std::string& exec_id);

 private:
  void connect();
  [[noreturn]] void connection_lost() const;
  void negotiate();
  [[nodiscard]] Response send(const Request& request, const Connection::Sink& sink);
  void put(const std::string& what, const std::string& id, const std::string& path, Request request);
  [[nodiscard]] Response first_answer(const char* path);
  [[nodiscard]] std::string target(const std::string& path) const;

  const Call& m_call;
  Address m_address;
  Connection m_connection{Fd()};
  std::shared_ptr<const SshConnection> m_remote;
  std::string m_version, m_api_version, m_libpod_version;
};

/// Takes apart what engines send for programs without a terminal: 8 bytes (stream, 3 unused, length big-endian),
/// then the bytes. No I/O of its own.
class RawStream {
 public:
  /// `stream`: 1 stdout, 2 stderr. Throws Error for what is no such stream.
  using Sink = std::function<void(int stream, std::string_view bytes)>;
  void feed(std::string_view bytes, const Sink& sink);

 private:
  std::string m_head;
  std::uint32_t m_left = 0;
  int m_stream = 0;
};

/// The lower of ours and the engine's, and never below what it still accepts.
[[nodiscard]] std::string negotiated(const std::string& ours, const std::string& engines, const std::string& engines_oldest);

/// Splits "registry/name:tag@digest" for `fromImage` and `tag`; a missing tag is "latest".
[[nodiscard]] std::pair<std::string, std::string> image_and_tag(const std::string& name);

}  // namespace kortex::engine
