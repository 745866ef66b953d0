#include "create_plan.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <kortex/fd.hpp>

namespace kortex::apple {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;
constexpr std::int64_t least_memory = 200 * mebibyte;

bool is_folder(const std::string& path) {
  struct stat about {};
  return ::stat(path.c_str(), &about) == 0 && S_ISDIR(about.st_mode);
}

bool has(const std::string& text, char c) { return text.find(c) != std::string::npos; }

/// The short form has ':' between its parts and the long one ',' and '='; neither has a way to write them otherwise.
void add_mount(std::vector<std::string>& out, const Mount& mount, const Version& version) {
  const bool folder = is_folder(mount.host_path);
  if (!folder && !has_single_file_mounts(version))
    throw Error(KORTEX_E_UNSUPPORTED, "cannot mount '" + mount.host_path + "': container " + version.text() + " mounts folders only");
  if (!has(mount.host_path, ':') && !has(mount.target, ':')) {
    out.insert(out.end(), {"--volume", mount.host_path + ":" + mount.target + (mount.read_only ? ":ro" : "")});
    return;
  }
  for (const std::string& path : {mount.host_path, mount.target})
    if (!folder || has(path, ',') || has(path, '='))
      throw Error(KORTEX_E_UNSUPPORTED, "cannot mount '" + mount.host_path + "': Apple's container cannot be given such a path");
  out.insert(out.end(), {"--mount", "type=virtiofs,source=" + mount.host_path + ",target=" + mount.target + (mount.read_only ? ",readonly" : "")});
}

std::uint16_t free_port(const std::string& address) {
  const Fd probe(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in bound{};
  bound.sin_family = AF_INET;
  socklen_t size = sizeof bound;
  if (!probe || ::fcntl(probe.get(), F_SETFD, FD_CLOEXEC) != 0 || ::inet_pton(AF_INET, address.c_str(), &bound.sin_addr) != 1 ||
      ::bind(probe.get(), reinterpret_cast<sockaddr*>(&bound), size) != 0 || ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw Error(KORTEX_E_FAILED, "cannot find a free port on '" + address + "'");
  return ntohs(bound.sin_port);
}

}  // namespace

void check_limits(const Workspace& workspace) {
  if (workspace.cpus_milli % 1000 != 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot give the agent a part of a processor: a virtual machine has whole ones");
  if (workspace.memory_bytes != 0 && workspace.memory_bytes < least_memory)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot run the agent in less than 200 MiB of memory: Apple's container does not");
}

void check_network(const Workspace& workspace, const Version& version) {
  if (workspace.network_denied && !has_network_none(version))
    throw Error(KORTEX_E_UNSUPPORTED, "cannot deny the network: container " + version.text() + " cannot, 1.1.0 can");
}

bool can_mount(const std::vector<Mount>& mounts, const Version& version) {
  if (has_single_file_mounts(version)) return true;
  // It is promised for what is asked and not for all that could be.
  return !mounts.empty() && std::all_of(mounts.begin(), mounts.end(), [](const Mount& mount) { return is_folder(mount.host_path) || mount.optional; });
}

void choose_ports(std::vector<Port>& ports) {
  for (Port& port : ports)
    if (port.host_port == 0) port.host_port = free_port(port.bind);
}

std::vector<std::string> create_arguments(const engine::Container& container, const std::string& holder_directory_here, const Version& version) {
  std::vector<std::string> out{"--name", container.name};
  const auto option = [&](const char* name, const std::string& value) { out.insert(out.end(), {name, value}); };
  option("--uid", std::to_string(container.identity.uid));
  option("--gid", std::to_string(container.identity.gid));
  // The tool takes no '=' in a value.
  for (const auto& [key, value] : container.labels)
    if (!has(value, '=')) option("--label", key + "=" + value);
  for (const Mount& mount : container.mounts) {
    if (mount.target == engine::holder_program) continue;  // a file; ours is in a folder
    if (!mount.host_path.empty()) {
      add_mount(out, mount, version);
      continue;
    }
    // Over a part of the sources, and so after them: what is given by --tmpfs is mounted before all else.
    if (has(mount.target, ',') || has(mount.target, '='))
      throw Error(KORTEX_E_UNSUPPORTED, "cannot hide '" + mount.target + "' from the agent: Apple's container cannot be given such a path");
    option("--mount", "type=tmpfs,target=" + mount.target);
  }
  add_mount(out, {holder_directory_here, program_directory, true, false}, version);
  option("--tmpfs", socket_directory);
  for (const Port& port : container.ports)
    option("--publish", (has(port.bind, ':') ? "[" + port.bind + "]" : port.bind) + ":" + std::to_string(port.host_port) + ":" + std::to_string(port.target) + "/tcp");
  if (!container.network) option("--network", "none");
  if (container.cpus_milli > 0) option("--cpus", std::to_string(container.cpus_milli / 1000));
  if (container.memory_bytes > 0) option("--memory", std::to_string(container.memory_bytes / mebibyte) + "M");
  option("--entrypoint", holder_path);
  // Flags come before the image; what follows it is the program's, and "--" would be, too.
  out.insert(out.end(), {container.image, "serve", "--dir", engine::holder_directory, "--socket", socket_path});
  return out;
}

}  // namespace kortex::apple
