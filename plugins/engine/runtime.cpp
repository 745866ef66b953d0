#include "engine/runtime.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <system_error>

#include <kortex/fd.hpp>
#include <kortex/session_call.hpp>

#include "engine/holder.hpp"
#include "engine/image.hpp"
#include "engine/instance_view.hpp"
#include "engine/remote.hpp"

namespace kortex::engine {
namespace {

/// An engine goes on with what it was asked for when whoever asked has gone; it is done then after so long.
constexpr std::chrono::milliseconds settling{1000}, look_again{50};

// Files of ours in an instance's directory.
std::string endpoint_file(const Ref& ref) { return std::string(ref.state_dir()) + "/endpoint"; }

/// On the disk before there is a container that only it leads to.
void keep_endpoint(const Ref& ref, const std::string& endpoint) {
  const std::string file = endpoint_file(ref), fresh = file + ".new", line = endpoint + '\n';
  const Fd out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!out || ::write(out.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()) || ::fsync(out.get()) != 0 || ::rename(fresh.c_str(), file.c_str()) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot write '" + file + "'");
  const Fd directory(::open(ref.state_dir(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (directory) ::fsync(directory.get());
}

/// create() leaves it, be it empty; none: it was never created.
std::optional<std::string> kept_endpoint(const Ref& ref) {
  std::ifstream in(endpoint_file(ref));
  std::string line;
  if (!std::getline(in, line)) return std::nullopt;
  return line;
}

std::string name_of(const Ref& ref) { return *ref.name() != '\0' ? ref.name() : ref.key(); }

std::string quoted(const Ref& ref) { return "'" + name_of(ref) + "'"; }

std::string start_of(const Ref& ref) { return "kortex-cli start " + name_of(ref); }

[[noreturn]] void not_running(const Ref& ref, const std::string& word) {
  throw Error(KORTEX_E_STATE, "workspace " + quoted(ref) + " is " + word + ", not running", start_of(ref));
}

Instance gone() {
  Instance out;
  out.state = State::gone;
  return out;
}

/// The engine's word, and the holder's: a container that somebody started by hand, or whose start was interrupted, runs a
/// holder that has not been told of an agent. What reads it is this machine's directory of the instance.
Instance without_agent(const Ref& ref, Instance instance) {
  if (instance.state != State::running) return instance;
  const session::StatusFile status = session::read_status_file(HolderDirectory(ref.state_dir()).status());
  if (status.serving && !status.started) {
    instance.state = State::stopped;
    instance.status = "its container runs, the agent does not";
    instance.forwards.clear();
  }
  return instance;
}

int whole_seconds(std::chrono::milliseconds ms) { return static_cast<int>((ms.count() + 999) / 1000); }

}  // namespace

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::vector<Option> engine_options(const std::string& host_help) {
  return {{"image", std::string("image of the container; without it the configuration's, else ") + default_image},
          {"host", host_help, KORTEX_OPT_STRING, KORTEX_OPT_GLOBAL},
          {"sources", "where the sources are on the machine of a remote engine; without it the same path as here"},
          {"sync", "'copy': the container on a remote engine gets a copy of the sources that are here", KORTEX_OPT_ENUM, 0, std::nullopt, {"none", "copy"}}};
}

std::string socket_path_of(const std::string& host) {
  if (host.rfind("unix://", 0) == 0 && host.size() > 8 && host[7] == '/') return host.substr(7);
  if (!host.empty() && host.front() == '/') return host;
  if (host.rfind("tcp://", 0) == 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot use engine '" + host + "': engines of other machines are reached by ssh only",
                "--runtime-option host=ssh://USER@MACHINE");
  throw Error(KORTEX_E_INVALID, "cannot use engine '" + host + "': not an address", "--runtime-option host=unix:///PATH");
}

Identity owner_of_sources(Api& api, const Workspace& workspace) {
  Identity out;
  if (api.remote() != nullptr) {
    const RemoteSources sources = remote_sources(api, workspace);
    out.host_uid = sources.uid;
    out.host_gid = sources.gid;
  } else {
    const bool root = ::geteuid() == 0;
    out.host_uid = root && workspace.uid >= 0 ? static_cast<std::uint32_t>(workspace.uid) : ::geteuid();
    out.host_gid = root && workspace.gid >= 0 ? static_cast<std::uint32_t>(workspace.gid) : ::getegid();
  }
  out.uid = out.host_uid;
  out.gid = out.host_gid;
  return out;
}

std::string EngineRuntime::endpoint_of(const Call& call, const Ref& ref) const {
  // What was never created is looked for where it would be.
  if (const std::optional<std::string> kept = kept_endpoint(ref)) return *kept;
  return chosen_endpoint(call);
}

bool EngineRuntime::is_remote(const Call& call, const Ref& ref) const { return SshAddress::parse(endpoint_of(call, ref)).has_value(); }

std::unique_ptr<Api> EngineRuntime::connect(const Call& call, const Ref& ref) const { return connect(call, endpoint_of(call, ref)); }

Places EngineRuntime::places(const Ref& ref) const {
  return {ref.state_dir(), m_host.state_dir(), m_host.session_program(), environment("HOME")};
}

json::value EngineRuntime::find_container(Api& api, const Ref& ref) const {
  if (*ref.id() != '\0') {
    json::value found = api.inspect(ref.id());
    if (!found.is_null()) return found;
  }
  const json::value found = api.list(std::string(label_key) + "=" + ref.key());
  for (const json::value& entry : found.get_array()) return api.inspect(text_at(entry, {"Id"}));
  return nullptr;
}

json::value EngineRuntime::need_container(Api& api, const Ref& ref) const {
  json::value container = find_container(api, ref);
  if (container.is_null()) throw Error(KORTEX_E_NOT_FOUND, "the container of " + quoted(ref) + " is gone from " + api.engine(), start_of(ref));
  return container;
}

Probe EngineRuntime::probe(Call& call) {
  const std::unique_ptr<Api> api = connect(call, chosen_endpoint(call));
  Probe out;
  out.backend = api->engine() + " " + api->version();
  out.facts = facts(*api);
  out.facts.emplace_back("api", api->api_version());
  out.facts.emplace_back("socket", api->remote() == nullptr ? api->socket() : api->remote()->machine().socket);
  if (api->remote() != nullptr) out.facts.emplace_back("machine", api->remote()->machine().destination);
  return out;
}

Guarantees EngineRuntime::guarantees(Call& call, const Workspace& workspace) {
  const std::unique_ptr<Api> api = connect(call, chosen_endpoint(call));
  Guarantees out;
  out.isolation = Isolation::container;
  (void)api->version();  // an engine that is not there is found out before anything is registered or made
  out.enforces = KORTEX_GUARANTEE_NETWORK_ALLOW | KORTEX_GUARANTEE_NETWORK_DENY | KORTEX_GUARANTEE_MOUNTS |
                 KORTEX_GUARANTEE_READ_ONLY_MOUNTS | KORTEX_GUARANTEE_IMAGE | KORTEX_GUARANTEE_BUILD |
                 KORTEX_GUARANTEE_TTY | KORTEX_GUARANTEE_DETACH | resources(*api);
  const bool open_loopback = opens_host_loopback(*api);
  if (!open_loopback) out.enforces |= KORTEX_GUARANTEE_HOST_LOOPBACK;
  if (api->remote() != nullptr) {
    // A port would be published on the other machine's loopback, where nobody of this one gets to.
    out.exposure = remote_exposure(*api, workspace);
    if (!workspace.network_denied)
      out.exposure.push_back("the network as " + api->engine() + " gives it on '" + api->remote()->machine().destination + "', that machine's own loopback not included");
    out.exposure.push_back("the kernel of '" + api->remote()->machine().destination + "'");
    return out;
  }
  refuse_remote_options(workspace);
  out.enforces |= KORTEX_GUARANTEE_PORTS;
  out.exposure.push_back("the sources in '" + workspace.source_path + "', to read and to write");
  if (const std::string git = outside_git_directory(workspace.source_path); !git.empty())
    out.exposure.push_back("the git repository in '" + git + "' that the sources are a worktree of, to read and to write");
  for (const Mount& mount : workspace.mounts)
    out.exposure.push_back("'" + mount.host_path + "', to read" + (mount.read_only ? "" : " and to write"));
  if (!workspace.network_denied) out.exposure.push_back("the network as " + api->engine() + " gives it, this machine's own loopback " + (open_loopback ? "included" : "not included"));
  out.exposure.emplace_back("the kernel");
  return out;
}

std::string EngineRuntime::created(const Call& call, Api& api, const Ref& ref, const Container& container) const {
  const std::string what = "create the container of " + quoted(ref);
  const auto enough = std::chrono::steady_clock::now() + settling;
  for (;;) {
    try {
      return create_container(api, what, container);
    } catch (const Error& error) {
      if (error.code != KORTEX_E_EXISTS || std::chrono::steady_clock::now() >= enough) throw;
      const json::value there = api.inspect(container.name);
      if (!there.is_null() && text_at(there, {"Config", "Labels", label_key}) != ref.key()) throw;
      // By a create() that was killed, and nobody knows how far it came.
      if (!there.is_null()) api.remove(what, text_at(there, {"Id"}));
    }
    call.wait_readable(-1, look_again);
  }
}

Instance EngineRuntime::create(Call& call, const Ref& ref, const Workspace& workspace) {
  const std::string endpoint = chosen_endpoint(call);
  const std::unique_ptr<Api> api = connect(call, endpoint);
  if (json::value existing = find_container(*api, ref); !existing.is_null()) return from_inspect(existing);

  const std::string given = workspace.options.get("image");
  std::string image = !given.empty() ? given : !workspace.image.empty() ? workspace.image : default_image;
  const bool build = given.empty() && !workspace.build_context.empty();
  if (build) image = built_image_name(ref.key());
  const bool remote = api->remote() != nullptr;
  if (!remote) refuse_remote_options(workspace);
  const Identity who = identity(*api, workspace);
  const Container container = remote ? remote_plan(*api, ref, workspace, places(ref), who, image, m_plugin_version)
                                     : plan(ref, workspace, places(ref), who, image, m_plugin_version);

  keep_endpoint(ref, endpoint);
  // Where ssh leads to the engine, its program takes the same way as we do.
  const std::vector<std::string> program = command(remote ? api->socket() : endpoint.empty() ? "" : socket_path_of(endpoint));
  if (build) {
    build_image(call, program, image, ref.key(), workspace);
  } else {
    std::string pull = remote ? api->remote()->machine().by_hand + " " + api->engine() + " " : "";
    if (!remote)
      for (const std::string& word : program) pull += word + " ";
    ensure_image(call, *api, image, pull + "pull " + image, credential_files());
  }
  if (!remote) prepare_directories(container, places(ref));
  for (const auto& [key, value] : container.labels)
    if (key == label_git) call.log(KORTEX_LOG_WARN, "the sources are a git worktree: '" + value + "' is mounted too, to read and to write");
  const std::string id = created(call, *api, ref, container);
  if (remote) fill_container(call, *api, ref, id, container, workspace, m_host.session_program());
  return from_inspect(api->inspect(id));
}

SessionAccess EngineRuntime::reach_holder(Call& call, Api& api, const Ref& ref, const json::value& container) const {
  const HolderDirectory directory(ref.state_dir());
  const std::string id = text_at(container, {"Id"});
  const std::string word = text_at(container, {"State", "Status"});
  if (word == "paused") api.unpause("wake the container of " + quoted(ref), id);
  const bool runs = word == "running" || word == "paused";
  const auto is_running = [&] { return flag_at(api.inspect(id), {"State", "Running"}); };
  const auto begin = [&] {
    if (!runs) api.start("start the container of " + quoted(ref), id);
  };
  if (api.remote() == nullptr) {
    if (!runs) directory.clear();
    if (!directory.wait_until_serving(call, is_running, begin)) return {};
    return session_of(ref, &api);
  }
  begin();
  for (;;) {
    try {
      return session_of(ref, &api);
    } catch (const session::Error& error) {
      // The engine has told of the start; the holder is there some milliseconds later, and an attempt takes longer.
      if (error.code != KORTEX_E_NOT_FOUND) throw;
      if (!is_running()) return {};
      call.throw_if_cancelled();
    }
  }
}

void EngineRuntime::start_holder(Call& call, Api& api, const Ref& ref, const json::value& container, const Workspace& workspace,
                                 const std::vector<std::string>& env) const {
  const std::string id = text_at(container, {"Id"});
  SessionAccess session = reach_holder(call, api, ref, container);
  if (!session)
    throw Error(KORTEX_E_BACKEND, "cannot start the container of " + quoted(ref) + ": its session holder ended at once", "", api.output_tail(id, 20));
  if (session.client().status().agent != session::Status::Agent::not_started) return;
  const json::value* labels = find(container, {"Config", "Labels"});
  const json::value* image_env = find(container, {"Config", "Env"});
  const std::string home = labels == nullptr ? "" : text_at(*labels, {label_home});
  session::Program program;
  program.argv = workspace.agent_argv;
  program.env = agent_environment(image_env == nullptr ? json::value() : *image_env, home, ref.name(), env);
  program.cwd = workspace.target_path;
  program.tty = true;
  try {
    session.client().start_agent(program);
  } catch (const session::Error&) {
    // No container is left running without its agent.
    api.kill("stop the container of " + quoted(ref), id);
    throw;
  }
}

SessionAccess EngineRuntime::session_of(const Ref& ref, Api* api) const {
  SessionAccess out;
  if (api != nullptr && api->remote() != nullptr)
    out.relay = Relay::open(*api, *ref.id() != '\0' ? ref.id() : ref.key());
  else
    out.here = std::make_unique<session::Client>(session::Client::connect(HolderDirectory(ref.state_dir()).socket()));
  return out;
}

Instance EngineRuntime::start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) {
  const std::unique_ptr<Api> api = connect(call, ref);
  const json::value container = need_container(*api, ref);
  const std::string id = text_at(container, {"Id"});
  // Made by create(); somebody may have tidied up since.
  if (api->remote() == nullptr && ::access((std::string(ref.state_dir()) + "/session").c_str(), F_OK) != 0)
    prepare_directories(plan(ref, workspace, places(ref), identity(*api, workspace), "", m_plugin_version), places(ref));
  start_holder(call, *api, ref, container, workspace, env);
  return from_inspect(api->inspect(id));
}

Instance EngineRuntime::stop(Call& call, const Ref& ref, const StopMode& mode) {
  const std::unique_ptr<Api> api = connect(call, ref);
  const json::value container = need_container(*api, ref);
  const std::string id = text_at(container, {"Id"}), what = "stop the container of " + quoted(ref);
  const State state = state_of(text_at(container, {"State", "Status"}));
  if (state == State::paused) api->unpause(what, id);
  if (state != State::running && state != State::paused && state != State::starting) return from_inspect(container);
  if (mode.kill) {
    api->kill(what, id);
    return from_inspect(need_container(*api, ref));
  }
  const std::chrono::milliseconds grace = mode.grace.value_or(std::chrono::seconds(10));
  try {
    SessionAccess session = session_of(ref, api.get());
    session.client().stop(static_cast<int>(grace.count()), call.raw()->cancel_fd);
  } catch (const Cancelled&) {
    throw;
  } catch (const session::Error& error) {
    if (error.code == KORTEX_E_CANCELLED) throw;
    // A holder that does not answer gets the engine's own stop below.
  }
  call.throw_if_cancelled();
  api->stop(what, id, whole_seconds(grace));
  return from_inspect(need_container(*api, ref));
}

void EngineRuntime::remove(Call& call, const Ref& ref, RemoveMode mode) {
  const std::unique_ptr<Api> api = connect(call, ref);
  const std::string what = "remove the container of " + quoted(ref);
  json::value container = find_container(*api, ref);
  // Where nobody was told of one, a create() was killed, and the engine may still be at work on what that had asked for.
  const auto enough = std::chrono::steady_clock::now() + settling;
  while (container.is_null() && *ref.id() == '\0' && std::chrono::steady_clock::now() < enough) {
    call.wait_readable(-1, look_again);
    container = find_container(*api, ref);
  }
  if (!container.is_null()) {
    if (mode == RemoveMode::stopped_only && flag_at(container, {"State", "Running"}) && without_agent(ref, from_inspect(container)).state != State::stopped)
      throw Error(KORTEX_E_STATE, "workspace " + quoted(ref) + " is running");
    api->remove(what, text_at(container, {"Id"}));
  }
  if (const std::string image = built_image_name(ref.key()); !api->image(image).is_null()) api->remove_image(image);
}

void EngineRuntime::inspect(Call& call, const std::vector<Ref>& refs) {
  std::map<std::string, std::vector<const Ref*>> by_endpoint;
  for (const Ref& ref : refs) by_endpoint[endpoint_of(call, ref)].push_back(&ref);
  for (const auto& [endpoint, here] : by_endpoint) {
    std::unique_ptr<Api> api;
    try {
      api = connect(call, endpoint);
    } catch (const Cancelled&) {
      throw;
    } catch (const Error& error) {
      // One engine's absence costs its own rows.
      if (by_endpoint.size() == 1 || error.code == KORTEX_E_TIMEOUT) throw;
      call.log(KORTEX_LOG_WARN, error.what());
      for (const Ref* ref : here) {
        Instance unknown;
        unknown.status = error.what();
        call.emit(*ref, unknown);
      }
      continue;
    }
    if (here.size() == 1) {
      const json::value container = find_container(*api, *here[0]);
      call.emit(*here[0], container.is_null() ? gone() : without_agent(*here[0], from_inspect(container)));
      continue;
    }
    std::map<std::string, Instance> found;
    const json::value entries = api->list(label_key);
    for (const json::value& entry : entries.get_array()) {
      Instance instance = api->has_libpod() ? from_libpod_list(entry) : from_docker_list(entry);
      std::string key = instance.key;
      found.emplace(std::move(key), std::move(instance));
    }
    for (const Ref* ref : here) {
      const auto at = found.find(ref->key());
      call.emit(*ref, at == found.end() ? gone() : without_agent(*ref, at->second));
    }
  }
}

void EngineRuntime::list(Call& call) {
  const std::unique_ptr<Api> api = connect(call, chosen_endpoint(call));
  const json::value entries = api->list(label_key);
  for (const json::value& entry : entries.get_array())
    call.emit(api->has_libpod() ? from_libpod_list(entry) : from_docker_list(entry));
}

template <class Session>
Exit EngineRuntime::in_session(Call& call, const Ref& ref, Session&& session) const {
  std::unique_ptr<Api> api;
  try {
    if (is_remote(call, ref)) api = connect(call, ref);
    SessionAccess access = session_of(ref, api.get());
    return session::exit_of(session(access.client()));
  } catch (const session::Error& error) {
    if (error.code == KORTEX_E_CANCELLED) throw;
    // The holder is not there or vanished: the engine knows what became of it. By ssh, the way there may be what was lost.
    const bool remote = api != nullptr;
    if (!remote || error.code == KORTEX_E_BACKEND) api = connect(call, ref);
    const Instance now = from_inspect(need_container(*api, ref));
    if (remote && error.code == KORTEX_E_BACKEND && now.state == State::running)
      throw Error(KORTEX_E_UNAVAILABLE, "the connection to '" + api->remote()->machine().destination + "' was lost, the agent of " + quoted(ref) + " goes on",
                  "kortex-cli terminal " + name_of(ref));
    if (now.state == State::running && error.code == KORTEX_E_STATE) not_running(ref, "stopped");
    if (now.state == State::running) throw;
    if (now.state == State::paused) not_running(ref, "paused");
    if (error.code == KORTEX_E_NOT_FOUND || now.exit_code < 0) not_running(ref, "stopped");
    return {KORTEX_END_STOPPED, now.exit_code};
  }
}

Exit EngineRuntime::exec(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.user.empty())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot run a program as user '" + execution.user + "': programs run as the agent's user");
  return in_session(call, ref, [&](session::Client& client) {
    return client.run(session::program_of(execution), session::streams_of(call.raw(), execution.raw));
  });
}

Exit EngineRuntime::terminal(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.argv.empty()) return exec(call, ref, execution);
  return in_session(call, ref,
                    [&](session::Client& client) { return client.attach(session::streams_of(call.raw(), execution.raw)); });
}

void EngineRuntime::logs(Call& call, const Ref& ref, const LogsRequest& request) {
  const std::unique_ptr<Api> api = is_remote(call, ref) ? connect(call, ref) : nullptr;
  const auto so_far = [&](const session::LogEnd& up_to) {
    if (api)
      hand_over_copied_output(call, api->get_archive(*ref.id() != '\0' ? ref.id() : ref.key(), holder_directory), request.tail, up_to);
    else
      HolderDirectory(ref.state_dir()).hand_over_output(call, request.tail, up_to);
  };
  if (!request.follow) return so_far({});
  SessionAccess session;
  try {
    session = session_of(ref, api.get());
  } catch (const session::Error& error) {
    if (error.code != KORTEX_E_NOT_FOUND) throw;
    // Nobody there: the agent has ended, and all it wrote is in the log.
    return so_far({});
  }
  try {
    session::follow_output(call, session.client(), so_far);
  } catch (const session::Error& error) {
    if (error.code != KORTEX_E_STATE) throw;
    so_far({});  // the container runs without its agent: there is nothing to follow
  }
}

Exit EngineRuntime::wait(Call& call, const Ref& ref) {
  // Without a holder to ask, the engine is: it may learn of the end a moment after the holder has gone. Podman's own wait may
  // be 20 seconds late, its inspect is not.
  for (std::chrono::milliseconds pause(20);; pause = std::min(2 * pause, std::chrono::milliseconds(1000))) {
    bool never_started = false;
    try {
      return in_session(call, ref, [&](session::Client& client) {
        never_started = client.status().agent == session::Status::Agent::not_started;
        if (never_started) throw session::Error(KORTEX_E_STATE, "the agent has not been started");
        return client.wait(call.raw()->cancel_fd);
      });
    } catch (const Error& error) {
      if (error.code == KORTEX_E_CANCELLED || never_started) throw;
    }
    const std::unique_ptr<Api> api = connect(call, ref);
    const Instance now = from_inspect(need_container(*api, ref));
    if (now.state == State::paused) not_running(ref, "paused");
    if (now.state != State::running && now.state != State::stopping) return {KORTEX_END_EXITED, now.exit_code};
    call.wait_readable(-1, pause);
  }
}

}  // namespace kortex::engine
