#include "engine/api.hpp"

#include <algorithm>
#include <cstdio>
#include <ctime>
#include <map>

namespace kortex::engine {
namespace {

// What we were written against. Docker 29 refuses anything older; podman up to 5.4 stops at 1.41.
constexpr const char* our_version = "1.44";

std::pair<int, int> numbers(const std::string& version) {
  int major = 0, minor = 0;
  if (std::sscanf(version.c_str(), "%d.%d", &major, &minor) < 1) return {0, 0};
  return {major, minor};
}

std::string first_line(const std::string& text) {
  std::string line = text.substr(0, text.find_first_of("\r\n"));
  while (!line.empty() && (line.back() == '.' || line.back() == ' ')) line.pop_back();
  return line;
}

}  // namespace

std::string negotiated(const std::string& ours, const std::string& engines, const std::string& engines_oldest) {
  if (!engines_oldest.empty() && numbers(ours) < numbers(engines_oldest)) return engines_oldest;
  if (!engines.empty() && numbers(engines) < numbers(ours)) return engines;
  return ours;
}

std::pair<std::string, std::string> image_and_tag(const std::string& name) {
  const std::size_t at = name.find('@');
  if (at != std::string::npos) return {name.substr(0, at), name.substr(at + 1)};
  const std::size_t colon = name.rfind(':');
  const std::size_t slash = name.rfind('/');
  if (colon == std::string::npos || (slash != std::string::npos && colon < slash)) return {name, "latest"};
  return {name.substr(0, colon), name.substr(colon + 1)};
}

void RawStream::feed(std::string_view bytes, const Sink& sink) {
  while (!bytes.empty()) {
    if (m_left == 0) {
      const std::size_t take = std::min<std::size_t>(8 - m_head.size(), bytes.size());
      m_head.append(bytes.substr(0, take));
      bytes.remove_prefix(take);
      if (m_head.size() < 8) return;
      const auto byte = [this](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(m_head[i])); };
      m_stream = static_cast<int>(byte(0));
      m_left = byte(4) << 24 | byte(5) << 16 | byte(6) << 8 | byte(7);
      if (m_stream > 3 || byte(1) != 0 || byte(2) != 0 || byte(3) != 0)
        throw Error(KORTEX_E_BACKEND, "cannot understand the engine's stream: it has no frames");
      m_head.clear();
      continue;
    }
    const std::size_t take = std::min<std::size_t>(m_left, bytes.size());
    sink(m_stream, bytes.substr(0, take));
    bytes.remove_prefix(take);
    m_left -= static_cast<std::uint32_t>(take);
  }
}

void Api::connection_lost() const {
  throw Error(KORTEX_E_UNAVAILABLE, "the connection to " + m_address.engine + " on '" + m_remote->machine().destination + "' was lost", m_remote->machine().by_hand + " true");
}

void Api::connect() {
  std::error_code error;
  Fd socket = connect_unix(m_address.socket, error);
  // The socket is this end of a tunnel, and that is what has gone: of the engine nothing is known.
  if (!socket && m_remote != nullptr) connection_lost();
  if (!socket) {
    const std::string what = "cannot reach " + m_address.engine + " at " + shown() + ": ";
    if (error == std::errc::permission_denied)
      throw Error(KORTEX_E_PERMISSION, what + "this user may not use it", m_address.access_hint);
    if (error == std::errc::no_such_file_or_directory || error == std::errc::connection_refused || error == std::errc::not_a_directory)
      throw Error(KORTEX_E_UNAVAILABLE, what + (error == std::errc::connection_refused ? "nobody listens there" : "no such socket"),
                  m_address.start_hint);
    throw Error(KORTEX_E_UNAVAILABLE, what + error.message(), m_address.start_hint);
  }
  m_connection = Connection(std::move(socket));
}

Response Api::first_answer(const char* path) {
  if (!m_connection.usable()) connect();
  try {
    return m_connection.exchange(m_call, {"GET", path, ""});
  } catch (const ConnectionLost&) {
    throw Error(KORTEX_E_UNAVAILABLE, "cannot talk to " + m_address.engine + " at " + shown() + ": it closed the connection",
                m_address.start_hint);
  }
}

void Api::negotiate() {
  if (!m_version.empty()) return;
  // Its headers say what is needed. GET /version would say more, but podman runs four programs for it.
  const Response ping = first_answer("/_ping");
  const std::string engines = ping.header("api-version"), server = ping.header("server");
  if (ping.status / 100 == 5) refuse("reach " + m_address.engine, ping);
  if (ping.status != 200 || engines.empty())
    throw Error(KORTEX_E_UNAVAILABLE,
                "cannot talk to " + m_address.engine + " at " + shown() + ": what answers there is no container engine");
  // Only an engine that is newer than we are may have stopped to accept what we speak.
  std::string oldest;
  if (numbers(our_version) < numbers(engines)) oldest = text_at(parsed(first_answer("/version")), {"MinAPIVersion"});
  m_api_version = negotiated(our_version, engines, oldest);
  m_libpod_version = ping.header("libpod-api-version");
  // "Libpod/4.3.1 (linux)", "Docker/20.10.24+dfsg1 (linux)"
  const std::size_t slash = server.find('/');
  m_version = slash == std::string::npos ? engines : server.substr(slash + 1, server.find(' ', slash) - slash - 1);
}

const std::string& Api::version() {
  negotiate();
  return m_version;
}

const std::string& Api::api_version() {
  negotiate();
  return m_api_version;
}

bool Api::has_libpod() {
  negotiate();
  return !m_libpod_version.empty();
}

std::string Api::target(const std::string& path) const {
  if (path.rfind("/libpod/", 0) == 0) {
    if (m_libpod_version.empty())
      throw Error(KORTEX_E_UNAVAILABLE, "cannot use " + m_address.engine + " at " + shown() + ": what answers there is not podman");
    return "/v" + m_libpod_version + path;
  }
  return "/v" + m_api_version + path;
}

Response Api::request(const char* method, const std::string& path, const std::string& body, const Connection::Sink& sink,
                      const std::string& more_headers) {
  negotiate();
  Request request{method, target(path), body};
  request.more_headers = more_headers;
  return send(request, sink);
}

Response Api::send(const Request& request, const Connection::Sink& sink) {
  if (!m_connection.usable()) connect();
  try {
    return m_connection.exchange(m_call, request, sink);
  } catch (const ConnectionLost&) {
    if (m_remote != nullptr) connection_lost();
    throw Error(KORTEX_E_UNAVAILABLE, m_address.engine + " went away in the middle of a request", m_address.start_hint);
  }
}

json::value Api::parsed(const Response& response) const {
  if (response.body.empty()) return nullptr;
  boost::system::error_code error;
  json::value value = json::parse(response.body, error);
  if (error) throw Error(KORTEX_E_BACKEND, "cannot understand " + m_address.engine + ": " + error.message(), "", response.body.substr(0, 4096));
  return value;
}

void Api::refuse(const std::string& what, const Response& response) const {
  std::string said;
  boost::system::error_code ignored;
  const json::value body = json::parse(response.body, ignored);
  if (!ignored) said = text_at(body, {"message"});
  if (said.empty()) said = ignored ? response.body.substr(0, 4096) : std::string("status ") + std::to_string(response.status);
  kortex_status code = KORTEX_E_BACKEND;
  if (response.status == 404) code = KORTEX_E_NOT_FOUND;
  // Podman says 500 to a name that is taken and to what is not possible in this state; the cause tells them apart.
  const std::string cause = ignored ? std::string() : text_at(body, {"cause"});
  if (cause == "no such container") code = KORTEX_E_NOT_FOUND;
  if (response.status == 409 || cause == "container state improper") code = KORTEX_E_STATE;
  if ((response.status == 409 && said.find("already in use") != std::string::npos) || cause == "that name is already in use") code = KORTEX_E_EXISTS;
  if (response.status == 401 || response.status == 403) code = KORTEX_E_PERMISSION;
  if (said.find("no space left") != std::string::npos || said.find("cannot allocate memory") != std::string::npos) code = KORTEX_E_RESOURCE;
  const std::string line = first_line(said);
  throw Error(code, "cannot " + what + ": " + m_address.engine + ": " + line, "", line.size() + 2 < said.size() ? said : "");
}

json::value Api::ask(const std::string& what, const char* method, const std::string& path, const std::string& body) {
  const Response response = request(method, path, body);
  if (response.status / 100 != 2 && response.status != 304) refuse(what, response);
  return response.header("content-type").find("json") == std::string::npos ? json::value(nullptr) : parsed(response);
}

json::value Api::inspect(const std::string& id) {
  const Response response = request("GET", "/containers/" + url_encoded(id) + "/json");
  if (response.status == 404) return nullptr;
  try {
    if (response.status != 200) refuse("inspect container '" + id + "'", response);
  } catch (const Error& error) {
    // Podman says 500 of one that is being removed at this moment.
    if (error.code == KORTEX_E_NOT_FOUND) return nullptr;
    throw;
  }
  return parsed(response);
}

json::value Api::list(const std::string& label) {
  const json::object filters{{"label", json::array{json::string(label)}}};
  // Podman's own list is one query; its docker-compatible one asks for each container anew.
  const std::string path = has_libpod() ? "/libpod/containers/json?all=true&filters=" : "/containers/json?all=1&filters=";
  json::value answer = ask("list containers", "GET", path + url_encoded(json::serialize(filters)));
  return answer.is_array() ? answer : json::value(json::array());
}

std::string Api::create(const std::string& what, const std::string& path, const json::value& body) {
  return text_at(ask(what, "POST", path, json::serialize(body)), {"Id"});
}

void Api::start(const std::string& what, const std::string& id) {
  try {
    ask(what, "POST", "/containers/" + url_encoded(id) + "/start");
  } catch (Error& error) {
    // What a dockerd leaves that was killed in the middle of a start: it never starts again, another one does.
    if (std::string(error.what()).find(": already exists") != std::string::npos)
      error.hint = (m_remote != nullptr ? m_remote->machine().by_hand + " docker" : "docker -H unix://" + m_address.socket) + " rm -f " + id.substr(0, 12);
    throw;
  }
}

void Api::stop(const std::string& what, const std::string& id, int grace_s) {
  ask(what, "POST", "/containers/" + url_encoded(id) + "/stop?t=" + std::to_string(grace_s));
}

void Api::kill(const std::string& what, const std::string& id) {
  // A docker-compatible kill also waits for the end, which podman 4 may take 20 seconds to see.
  const bool podman_4 = has_libpod() && numbers(m_libpod_version).first < 5;
  const Response response = request("POST", (podman_4 ? "/libpod/containers/" : "/containers/") + url_encoded(id) + "/kill");
  // 409: it does not run, which is all that is wanted.
  if (response.status / 100 != 2 && response.status != 409) refuse(what, response);
  stop(what, id, 1);
}

void Api::unpause(const std::string& what, const std::string& id) { ask(what, "POST", "/containers/" + url_encoded(id) + "/unpause"); }

void Api::remove(const std::string& what, const std::string& id) {
  const Response response = request("DELETE", "/containers/" + url_encoded(id) + "?force=1&v=1");
  if (response.status / 100 == 2 || response.status == 404) return;
  // Somebody else is at it, perhaps a command of ours that was killed: the engine goes on with it.
  if (response.status == 409 && response.body.find("already in progress") != std::string::npos) return;
  refuse(what, response);
}

std::string Api::output_tail(const std::string& id, int lines) {
  std::string text;
  RawStream frames;
  const Response response = request("GET", "/containers/" + url_encoded(id) + "/logs?stdout=1&stderr=1&tail=" + std::to_string(lines), "",
                                    [&](std::string_view bytes) {
                                      frames.feed(bytes, [&text](int, std::string_view piece) { text += piece; });
                                    });
  return response.status == 200 ? text : std::string();
}

void Api::put(const std::string& what, const std::string& id, const std::string& path, Request request) {
  negotiate();
  request.method = "PUT";
  request.target = target("/containers/" + url_encoded(id) + "/archive?path=" + url_encoded(path));
  request.content_type = "application/x-tar";
  const Response response = send(request, {});
  if (response.status / 100 != 2) refuse(what, response);
}

void Api::put_archive(const std::string& what, const std::string& id, const std::string& path, const std::string& archive) {
  Request request;
  request.body = archive;
  put(what, id, path, std::move(request));
}

void Api::put_archive(const std::string& what, const std::string& id, const std::string& path, int archive_fd) {
  Request request;
  request.body_fd = archive_fd;
  put(what, id, path, std::move(request));
}

std::string Api::get_archive(const std::string& id, const std::string& path) {
  Response response = request("GET", "/containers/" + url_encoded(id) + "/archive?path=" + url_encoded(path));
  if (response.status == 404) return {};
  if (response.status != 200) refuse("read '" + path + "' of container '" + id + "'", response);
  return std::move(response.body);
}

json::value Api::image(const std::string& name) {
  const Response response = request("GET", "/images/" + url_encoded(name) + "/json");
  if (response.status == 404) return nullptr;
  if (response.status != 200) refuse("look for image '" + name + "'", response);
  return parsed(response);
}

void Api::pull(const std::string& name, const std::string& auth, const PullProgress& progress) {
  const auto [image, tag] = image_and_tag(name);
  std::string rest, failure;
  std::map<std::string, std::pair<std::int64_t, std::int64_t>> layers;
  const auto line_of = [&](std::string_view line) {
    boost::system::error_code error;
    const json::value event = json::parse(line, error);
    if (error) return;
    if (const std::string said = text_at(event, {"error"}); !said.empty()) failure = said;
    const std::string id = text_at(event, {"id"});
    const std::int64_t total = number_at(event, {"progressDetail", "total"});
    if (!id.empty() && total > 0) layers[id] = {number_at(event, {"progressDetail", "current"}), total};
    std::int64_t done = 0, all = 0;
    for (const auto& layer : layers) {
      done += layer.second.first;
      all += layer.second.second;
    }
    progress(done, all > 0 ? all : -1, text_at(event, {"status"}));
  };
  const Response response = request(
      "POST", "/images/create?fromImage=" + url_encoded(image) + "&tag=" + url_encoded(tag), "",
      [&](std::string_view bytes) {
        rest += bytes;
        std::size_t end = 0;
        while ((end = rest.find('\n')) != std::string::npos) {
          line_of(std::string_view(rest).substr(0, end));
          rest.erase(0, end + 1);
        }
        if (rest.size() > std::size_t{1} << 20) throw Error(KORTEX_E_BACKEND, "cannot pull image '" + name + "': the engine's answer has no lines");
      },
      auth.empty() ? "" : "X-Registry-Auth: " + auth + "\r\n");
  if (!rest.empty()) line_of(rest);
  if (response.status / 100 != 2) refuse("pull image '" + name + "'", response);
  if (!failure.empty()) throw Error(KORTEX_E_BACKEND, "cannot pull image '" + name + "': " + m_address.engine + ": " + first_line(failure), "",
                                     first_line(failure).size() + 2 < failure.size() ? failure : "");
}

void Api::remove_image(const std::string& name) {
  const Response response = request("DELETE", "/images/" + url_encoded(name));
  if (response.status / 100 != 2 && response.status != 404 && response.status != 409) refuse("remove image '" + name + "'", response);
}

Api::ExecStream Api::exec(const std::string& what, const std::string& id, const json::value& body) {
  ExecStream out;
  out.id = text_at(ask(what, "POST", "/containers/" + url_encoded(id) + "/exec", json::serialize(body)), {"Id"});
  if (!m_connection.usable()) connect();
  Response refusal;
  std::optional<Connection::Stream> stream =
      m_connection.hijack(m_call, {"POST", target("/exec/" + out.id + "/start"), "{\"Detach\":false,\"Tty\":false}"}, refusal);
  if (!stream) refuse(what, refusal);
  out.stream = std::move(*stream);
  return out;
}

int Api::exec_exit_code(const std::string& exec_id) {
  return static_cast<int>(number_at(ask("inspect a program", "GET", "/exec/" + exec_id + "/json"), {"ExitCode"}, -1));
}

}  // namespace kortex::engine
