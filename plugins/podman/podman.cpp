/// The podman runtime: podman of this machine, rootful or rootless, with or without its API socket enabled, or of
/// another machine by ssh.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <set>

#include <kortex/runtime.hpp>

#include "engine/image.hpp"
#include "engine/remote.hpp"
#include "engine/runtime.hpp"
#include "service.hpp"

namespace kortex::engine {
namespace {

bool is_rootless() { return ::geteuid() != 0; }

class Podman : public EngineRuntime {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    std::vector<Option> out = engine_options(
        "unix:///PATH of a podman API socket, or ssh://[USER@]MACHINE[:PORT][/PATH]; without it CONTAINER_HOST, then podman's own, started when needed");
    out.push_back({"connection", "connection of 'podman system connection' to use instead of 'host'", KORTEX_OPT_STRING, KORTEX_OPT_GLOBAL});
    return out;
  }
  explicit Podman(const Open& open) : EngineRuntime(open, KORTEX_RUNTIME_VERSION) {}

 protected:
  std::string chosen_endpoint(const Call& call) const override {
    if (const std::string given = EngineRuntime::options().get("host"); !given.empty()) return given;
    if (const std::string given = EngineRuntime::options().get("connection"); !given.empty()) return by_name(call, given);
    if (const std::string given = environment("CONTAINER_HOST"); !given.empty()) {
      const std::string key = environment("CONTAINER_SSHKEY");
      return key.empty() || !SshAddress::parse(given) ? given : given + '\t' + key;
    }
    const std::string given = environment("CONTAINER_CONNECTION");
    return given.empty() ? given : by_name(call, given);
  }

  std::unique_ptr<Api> connect(const Call& call, const std::string& endpoint) const override {
    if (const auto ssh = SshAddress::parse(endpoint))
      return connect_by_ssh(call, host().runtime_dir(), "podman", *ssh,
                            "u=$(id -u); if [ $u = 0 ]; then s=/run/podman/podman.sock; else s=${XDG_RUNTIME_DIR:-/run/user/$u}/podman/podman.sock; fi\n",
                            ssh->user == "root" ? "systemctl enable --now podman.socket" : "systemctl --user enable --now podman.socket");
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
    // A service that was just ending, being idle or killed, accepts a connection and drops it: the next one meets a new service.
    for (int attempts_left = 9;; --attempts_left) {
      Fd socket = connect_service(call, host().runtime_dir(), address.socket);
      auto api = std::make_unique<Api>(call, address, std::move(socket));
      try {
        (void)api->version();
        return api;
      } catch (const Error& error) {
        if (attempts_left == 0 || error.code != KORTEX_E_UNAVAILABLE) throw;
      }
    }
  }

  Identity identity(Api& api, const Workspace& workspace) const override {
    Identity out = owner_of_sources(api, workspace);
    if (!is_rootless_there(api)) return out;
    // Whoever runs it, root excepted, is himself in there.
    out.user_namespace = "keep-id";
    return out;
  }

  std::uint64_t resources(Api& api) const override {
    if (api.remote() != nullptr) {
      std::uint64_t there = 0;
      const json::value info = api.ask("ask for the engine's settings", "GET", "/libpod/info");
      for (const json::value& name : array_at(info, {"host", "cgroupControllers"})) {
        if (name == "memory") there |= KORTEX_GUARANTEE_MEMORY;
        if (name == "cpu") there |= KORTEX_GUARANTEE_CPUS;
        if (name == "pids") there |= KORTEX_GUARANTEE_PROCESSES;
      }
      return is_rootless_there(api) && text_at(info, {"host", "cgroupVersion"}) != "v2" ? 0 : there;
    }
    // What podman itself looks at; asking it (/libpod/info) takes half a second, because it runs programs for that.
    const std::string root = "/sys/fs/cgroup";
    const auto names = [](const std::string& file) {
      std::ifstream in(file);
      return std::set<std::string>(std::istream_iterator<std::string>(in), {});
    };
    std::set<std::string> controllers;
    if (::access((root + "/cgroup.controllers").c_str(), F_OK) == 0) {
      const std::string user = std::to_string(::geteuid());
      controllers = names(is_rootless_there(api) ? root + "/user.slice/user-" + user + ".slice/user@" + user + ".service/cgroup.controllers"
                                                 : root + "/cgroup.controllers");
    } else if (!is_rootless_there(api)) {
      // With the older cgroups a rootless podman warns and goes on without limits.
      for (const char* name : {"memory", "cpu", "pids"})
        if (::access((root + "/" + name).c_str(), F_OK) == 0) controllers.insert(name);
    }
    std::uint64_t out = 0;
    if (controllers.count("memory") != 0) out |= KORTEX_GUARANTEE_MEMORY;
    if (controllers.count("cpu") != 0) out |= KORTEX_GUARANTEE_CPUS;
    if (controllers.count("pids") != 0) out |= KORTEX_GUARANTEE_PROCESSES;
    return out;
  }

  bool opens_host_loopback(const Api& api) const override {
    // Rootless networks are closed to it (slirp4netns, pasta) unless containers.conf says otherwise.
    if (!is_rootless_there(api) || api.remote() != nullptr) return false;
    const std::string given = environment("CONTAINERS_CONF"), config = environment("XDG_CONFIG_HOME");
    std::vector<std::string> files{given, environment("CONTAINERS_CONF_OVERRIDE")};
    if (given.empty())
      for (const std::string& folder : {std::string("/usr/share"), std::string("/etc"), config.empty() ? environment("HOME") + "/.config" : config})
        files.push_back(folder + "/containers/containers.conf");
    for (const std::string& file : files) {
      std::ifstream in(file);
      for (std::string line; std::getline(in, line);)
        if (line.find_first_not_of(" \t") != line.find('#'))
          for (const char* word : {"allow_host_loopback=true", "\"--map-gw\"", "--map-host-loopback"})
            if (line.find(word) != std::string::npos) return true;
    }
    return false;
  }

  std::string create_container(Api& api, const std::string& what, const Container& container) const override {
    try {
      return api.create(what, "/libpod/containers/create", libpod_body(container));
    } catch (Error& error) {
      if (std::string(error.what()).find("/etc/subuid") != std::string::npos)
        error.hint = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 \"$USER\" && podman system migrate";
      throw;
    }
  }

  std::vector<std::string> command(const std::string& socket) const override {
    if (socket.empty()) return {"podman"};
    return {"podman", "--url", "unix://" + socket};
  }

  std::vector<std::string> credential_files() const override {
    if (const std::string given = environment("REGISTRY_AUTH_FILE"); !given.empty()) return {given};
    const std::string home = environment("HOME"), config = environment("XDG_CONFIG_HOME");
    return {environment("XDG_RUNTIME_DIR") + "/containers/auth.json", (config.empty() ? home + "/.config" : config) + "/containers/auth.json",
            home + "/.docker/config.json"};
  }

  KeyValues facts(Api& api) const override { return {{"rootless", is_rootless_there(api) ? "yes" : "no"}}; }

 private:
  static std::string by_name(const Call& call, const std::string& name) {
    Process process;
    process.argv = {"podman", "system", "connection", "list", "--format", "json"};
    const ProcessResult listed = call.run(process);
    boost::system::error_code error;
    const json::value connections = json::parse(listed.out, error);
    if (listed.exit_code == 0 && !error && connections.is_array())
      for (const json::value& connection : connections.get_array()) {
        // Older ones mark the default in the name itself.
        std::string its = text_at(connection, {"Name"});
        if (!its.empty() && its.back() == '*') its.pop_back();
        if (its != name) continue;
        const std::string uri = text_at(connection, {"URI"}), key = text_at(connection, {"Identity"});
        return key.empty() || !SshAddress::parse(uri) ? uri : uri + '\t' + key;
      }
    throw Error(KORTEX_E_INVALID, "cannot use podman connection '" + name + "': there is none of that name", "podman system connection list", listed.err);
  }

  static void need_program() {
    const std::string path = environment("PATH");
    for (std::size_t at = 0; at <= path.size();) {
      const std::size_t end = std::min(path.find(':', at), path.size());
      if (end > at && ::access((path.substr(at, end - at) + "/podman").c_str(), X_OK) == 0) return;
      at = end + 1;
    }
    throw Error(KORTEX_E_UNAVAILABLE, "cannot use podman: it is not installed", "apt-get install podman");
  }

  /// An ordinary user may have been let in to root's socket; his own podman listens at a socket of his own.
  static bool is_rootless_there(const Api& api) {
    if (api.remote() != nullptr) return api.remote()->machine().uid != 0 && !api.remote()->machine().socket_is_roots;
    struct stat about {};
    return is_rootless() && (::stat(api.socket().c_str(), &about) != 0 || about.st_uid != 0);
  }
};

}  // namespace
}  // namespace kortex::engine

KORTEX_RUNTIME_MORE(kortex::engine::Podman, "podman", KORTEX_RUNTIME_VERSION, "in a container, by podman",
                    R"(,"options":{"image":[],"host":[],"sources":[],"sync":["none","copy"],"connection":[]})");
