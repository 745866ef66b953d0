/// The runtime that podman and docker have in common: a workspace is one container whose main process is the
/// session holder. All that differs between engines is in the pure functions at the end.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <kortex/runtime.hpp>

#include "engine/api.hpp"
#include "engine/plan.hpp"
#include "engine/relay.hpp"

namespace kortex::engine {

/// The session holder's client, and what carries its bytes where the container is on another machine.
struct SessionAccess {
  std::unique_ptr<Relay> relay;
  std::unique_ptr<session::Client> here;
  explicit operator bool() const { return relay != nullptr || here != nullptr; }
  session::Client& client() { return relay ? relay->client() : *here; }
};

class EngineRuntime : public Runtime, public Execs, public Terminals, public Logs, public Waits, public Lists {
 public:
  Probe probe(Call& call) override;
  Guarantees guarantees(Call& call, const Workspace& workspace) override;
  Instance create(Call& call, const Ref& ref, const Workspace& workspace) override;
  Instance start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) override;
  Instance stop(Call& call, const Ref& ref, const StopMode& mode) override;
  void remove(Call& call, const Ref& ref, RemoveMode mode) override;
  void inspect(Call& call, const std::vector<Ref>& refs) override;
  Exit exec(Call& call, const Ref& ref, const Execution& execution) override;
  Exit terminal(Call& call, const Ref& ref, const Execution& execution) override;
  void logs(Call& call, const Ref& ref, const LogsRequest& request) override;
  Exit wait(Call& call, const Ref& ref) override;
  void list(Call& call) override;

 protected:
  explicit EngineRuntime(const Open& open, std::string version)
      : m_host(open.host), m_options(open.options), m_plugin_version(std::move(version)) {}

  [[nodiscard]] const Options& options() const { return m_options; }
  [[nodiscard]] const Host& host() const { return m_host; }

  /// Where an engine was chosen by option or environment, as text to be kept with the instance; empty: the
  /// engine's usual place, wherever that is when it is needed.
  [[nodiscard]] virtual std::string chosen_endpoint(const Call& call) const = 0;
  /// To an endpoint that chosen_endpoint() returned.
  [[nodiscard]] virtual std::unique_ptr<Api> connect(const Call& call, const std::string& endpoint) const = 0;
  /// Who the agent is to be.
  [[nodiscard]] virtual Identity identity(Api& api, const Workspace& workspace) const = 0;
  /// KORTEX_GUARANTEE_CPUS, _MEMORY, _PROCESSES: what the engine enforces on this machine.
  [[nodiscard]] virtual std::uint64_t resources(Api& api) const = 0;
  /// The network as the user has configured it lets containers reach this machine's own loopback.
  [[nodiscard]] virtual bool opens_host_loopback(const Api& api) const {
    (void)api;
    return false;
  }
  /// Returns the id.
  [[nodiscard]] virtual std::string create_container(Api& api, const std::string& what, const Container& container) const = 0;
  /// The engine's own program, pointed at a socket; at its usual place when that is empty.
  [[nodiscard]] virtual std::vector<std::string> command(const std::string& socket) const = 0;
  /// Where the engine's own program keeps what registries want to know.
  [[nodiscard]] virtual std::vector<std::string> credential_files() const = 0;
  /// Further lines of `runtime info`.
  [[nodiscard]] virtual KeyValues facts(Api& api) const = 0;

 private:
  [[nodiscard]] std::unique_ptr<Api> connect(const Call& call, const Ref& ref) const;
  /// Its GET /containers/{id}/json; null: there is none.
  [[nodiscard]] json::value find_container(Api& api, const Ref& ref) const;
  /// The id. In place of what a create() that was killed has left under the name, or the engine is about to make for it.
  [[nodiscard]] std::string created(const Call& call, Api& api, const Ref& ref, const Container& container) const;
  [[nodiscard]] json::value need_container(Api& api, const Ref& ref) const;
  [[nodiscard]] Places places(const Ref& ref) const;
  void start_holder(Call& call, Api& api, const Ref& ref, const json::value& container, const Workspace& workspace,
                    const std::vector<std::string>& env) const;
  /// The holder of a container that is running or has just been started; null: it ended at once.
  [[nodiscard]] SessionAccess reach_holder(Call& call, Api& api, const Ref& ref, const json::value& container) const;
  /// Where its container is.
  [[nodiscard]] std::string endpoint_of(const Call& call, const Ref& ref) const;
  [[nodiscard]] bool is_remote(const Call& call, const Ref& ref) const;
  [[nodiscard]] SessionAccess session_of(const Ref& ref, Api* api) const;
  template <class Session>
  [[nodiscard]] Exit in_session(Call& call, const Ref& ref, Session&& session) const;

  Host m_host;
  Options m_options;
  std::string m_plugin_version;
};

/// The environment variable, or nothing where it is empty.
[[nodiscard]] std::string environment(const char* name);

/// --runtime-option: of one instance, and of the runtime (`host`).
[[nodiscard]] std::vector<Option> engine_options(const std::string& host_help);

/// Who the agent is, unless the engine has its own idea: the user, here or on the engine's machine, or, where that is
/// root, the owner of the sources.
[[nodiscard]] Identity owner_of_sources(Api& api, const Workspace& workspace);

/// "unix:///path" → "/path". Throws UNSUPPORTED for tcp, INVALID for the rest.
[[nodiscard]] std::string socket_path_of(const std::string& host);

}  // namespace kortex::engine
