/// The docker runtime: dockerd of this machine, rootful or rootless, or of another by ssh.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include <kortex/runtime.hpp>

#include "engine/image.hpp"
#include "engine/remote.hpp"
#include "engine/runtime.hpp"

namespace kortex::engine {
namespace {

json::value read_json(const std::filesystem::path& file) {
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  boost::system::error_code error;
  json::value out = json::parse(text, error);
  return error ? json::value() : out;
}

std::string config_directory() {
  const std::string given = environment("DOCKER_CONFIG");
  return given.empty() ? environment("HOME") + "/.docker" : given;
}

/// What `docker context use` left: its directory of contexts is searched, the names in it are hashes.
std::string host_of_context(const std::filesystem::path& config, const std::string& name) {
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(config / "contexts" / "meta", error)) {
    const json::value meta = read_json(entry.path() / "meta.json");
    if (text_at(meta, {"Name"}) == name) return text_at(meta, {"Endpoints", "docker", "Host"});
  }
  throw Error(KORTEX_E_INVALID, "cannot use docker context '" + name + "': there is none of that name", "docker context ls");
}

class Docker : public EngineRuntime {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    std::vector<Option> out = engine_options("unix:///PATH of dockerd's socket, or ssh://[USER@]MACHINE[:PORT][/PATH]; without it DOCKER_HOST, the docker context, then docker's own");
    out.push_back({"context", "docker context to use instead of 'host'", KORTEX_OPT_STRING, KORTEX_OPT_GLOBAL});
    return out;
  }
  explicit Docker(const Open& open) : EngineRuntime(open, KORTEX_RUNTIME_VERSION) {}

 protected:
  std::string chosen_endpoint(const Call&) const override {
    const auto by_name = [](const std::string& name) { return host_of_context(config_directory(), name); };
    if (const std::string given = EngineRuntime::options().get("host"); !given.empty()) return given;
    if (const std::string given = EngineRuntime::options().get("context"); !given.empty() && given != "default") return by_name(given);
    if (const std::string given = environment("DOCKER_HOST"); !given.empty()) return given;
    std::string name = environment("DOCKER_CONTEXT");
    if (name.empty()) name = text_at(read_json(config_directory() + "/config.json"), {"currentContext"});
    return name.empty() || name == "default" ? std::string() : by_name(name);
  }

  std::unique_ptr<Api> connect(const Call& call, const std::string& endpoint) const override {
    // What `docker` would use if it were typed there.
    if (const auto ssh = SshAddress::parse(endpoint))
      return connect_by_ssh(call, host().runtime_dir(), "docker", *ssh,
                            "h=$DOCKER_HOST; case $h in unix://*) ;; *) h=$(docker context inspect --format '{{.Endpoints.docker.Host}}' 2>/dev/null);; esac\n"
                            "case $h in unix://*) s=${h#unix://};; *) s=/var/run/docker.sock;; esac\n",
                            "sudo systemctl start docker");
    const std::string path = endpoint.empty() ? "/var/run/docker.sock" : socket_path_of(endpoint);
    return std::make_unique<Api>(call, Address{"docker", path,
                                               endpoint.empty() ? "systemctl start docker" : "docker -H unix://" + path + " info",
                                               "sudo usermod -aG docker \"$USER\"  # then log in again"});
  }

  Identity identity(Api& api, const Workspace& workspace) const override {
    const json::value info = api.ask("ask for the engine's settings", "GET", "/info");
    Identity out = owner_of_sources(api, workspace);
    for (const json::value& option : array_at(info, {"SecurityOptions"})) {
      const std::string name = option.is_string() ? std::string(option.get_string()) : std::string();
      // Root in a rootless engine's container is the user himself; everybody else there is a stranger.
      if (name == "name=rootless") out.uid = out.gid = 0;
      if (name == "name=userns") out.user_namespace = "host";
    }
    return out;
  }

  std::uint64_t resources(Api& api) const override {
    const json::value info = api.ask("ask for the engine's settings", "GET", "/info");
    std::uint64_t out = 0;
    if (flag_at(info, {"MemoryLimit"})) out |= KORTEX_GUARANTEE_MEMORY;
    if (flag_at(info, {"CpuCfsQuota"})) out |= KORTEX_GUARANTEE_CPUS;
    if (flag_at(info, {"PidsLimit"})) out |= KORTEX_GUARANTEE_PROCESSES;
    return out;
  }

  std::string create_container(Api& api, const std::string& what, const Container& container) const override {
    return api.create(what, "/containers/create?name=" + url_encoded(container.name), docker_body(container));
  }

  std::vector<std::string> command(const std::string& socket) const override {
    if (socket.empty()) return {"docker"};
    return {"docker", "-H", "unix://" + socket};
  }

  std::vector<std::string> credential_files() const override { return {config_directory() + "/config.json"}; }

  KeyValues facts(Api& api) const override {
    const json::value info = api.ask("ask for the engine's settings", "GET", "/info");
    return {{"storage_driver", text_at(info, {"Driver"})}, {"cgroup_version", text_at(info, {"CgroupVersion"})}};
  }
};

}  // namespace
}  // namespace kortex::engine

KORTEX_RUNTIME_MORE(kortex::engine::Docker, "docker", KORTEX_RUNTIME_VERSION, "in a container, by docker",
                    R"(,"options":{"image":[],"host":[],"sources":[],"sync":["none","copy"],"context":[]})");
