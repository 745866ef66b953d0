/// The podman runtime: podman of this machine, rootful or rootless, with or without its API socket enabled.
#include <unistd.h>

#include <kortex/runtime.hpp>

#include "engine/image.hpp"
#include "engine/runtime.hpp"
#include "service.hpp"

namespace kortex::engine {
namespace {

bool is_rootless() { return ::geteuid() != 0; }

class Podman : public EngineRuntime {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    return engine_options("unix:///PATH of a podman API socket; without it CONTAINER_HOST, then podman's own, started when needed");
  }
  explicit Podman(const Open& open) : EngineRuntime(open, KORTEX_RUNTIME_VERSION) {}

 protected:
  std::string chosen_endpoint(const Call&) const override {
    if (const std::string given = EngineRuntime::options().get("host"); !given.empty()) return given;
    return environment("CONTAINER_HOST");
  }

  std::unique_ptr<Api> connect(const Call& call, const std::string& endpoint) const override {
    Address address{"podman", "", "systemctl " + std::string(is_rootless() ? "--user " : "") + "start podman.socket", ""};
    if (!endpoint.empty()) {
      address.socket = socket_path_of(endpoint);
      address.access_hint = "ls -l " + address.socket;
      return std::make_unique<Api>(call, address);
    }
    // The socket that systemd keeps serves the default storage only, as `podman` without these variables does.
    if (environment("CONTAINERS_CONF").empty() && environment("CONTAINERS_STORAGE_CONF").empty()) {
      const std::string run = is_rootless() ? environment("XDG_RUNTIME_DIR") : "/run";
      std::error_code error;
      address.socket = run + "/podman/podman.sock";
      Fd socket = run.empty() ? Fd() : connect_unix(address.socket, error);
      if (socket) return std::make_unique<Api>(call, address, std::move(socket));
    }
    need_program();
    address.start_hint = "podman info";
    Fd socket = connect_service(call, host().runtime_dir(), address.socket);
    return std::make_unique<Api>(call, address, std::move(socket));
  }

  Identity identity(Api& api, const Workspace& workspace) const override {
    Identity out;
    out.host_uid = ::geteuid();
    out.host_gid = ::getegid();
    if (is_rootless_there(api)) {
      out.user_namespace = "keep-id";
    } else if (::geteuid() == 0) {
      if (workspace.uid >= 0) out.host_uid = static_cast<std::uint32_t>(workspace.uid);
      if (workspace.gid >= 0) out.host_gid = static_cast<std::uint32_t>(workspace.gid);
    }
    out.uid = out.host_uid;
    out.gid = out.host_gid;
    return out;
  }

  std::uint64_t resources(Api& api) const override {
    const json::value info = api.ask("ask for the engine's settings", "GET", "/libpod/info");
    // Without a delegated cgroup2 a rootless podman warns and goes on without limits.
    if (flag_at(info, {"host", "security", "rootless"}) && text_at(info, {"host", "cgroupVersion"}) != "v2") return 0;
    std::uint64_t out = 0;
    for (const json::value& controller : array_at(info, {"host", "cgroupControllers"})) {
      if (controller == "memory") out |= KORTEX_GUARANTEE_MEMORY;
      if (controller == "cpu") out |= KORTEX_GUARANTEE_CPUS;
      if (controller == "pids") out |= KORTEX_GUARANTEE_PROCESSES;
    }
    return out;
  }

  std::string create_container(Api& api, const std::string& what, const Container& container) const override {
    return api.create(what, "/libpod/containers/create", libpod_body(container));
  }

  std::vector<std::string> command(const std::string& endpoint) const override {
    if (endpoint.empty()) return {"podman"};
    return {"podman", "--url", "unix://" + socket_path_of(endpoint)};
  }

  KeyValues facts(Api& api) const override {
    const json::value info = api.ask("ask for the engine's settings", "GET", "/libpod/info");
    return {{"rootless", flag_at(info, {"host", "security", "rootless"}) ? "yes" : "no"},
            {"cgroup_version", text_at(info, {"host", "cgroupVersion"})},
            {"network", text_at(info, {"host", "networkBackend"})}};
  }

 private:
  static void need_program() {
    const std::string path = environment("PATH");
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t end = std::min(path.find(':', at), path.size());
      if (end > at && ::access((path.substr(at, end - at) + "/podman").c_str(), X_OK) == 0) return;
      at = end + 1;
    }
    throw Error(KORTEX_E_UNAVAILABLE, "cannot use podman: it is not installed", "apt-get install podman");
  }

  static bool is_rootless_there(Api& api) {
    if (!is_rootless()) return false;
    return flag_at(api.ask("ask for the engine's settings", "GET", "/libpod/info"), {"host", "security", "rootless"});
  }
};

}  // namespace
}  // namespace kortex::engine

KORTEX_RUNTIME(kortex::engine::Podman, "podman", KORTEX_RUNTIME_VERSION, "in a container, by podman");
