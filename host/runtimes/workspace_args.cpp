#include "runtimes/workspace_args.hpp"

namespace kortex::host {
namespace {

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

WorkspaceArgs::WorkspaceArgs(const WorkspaceSpec& spec, const KeyValues& secret)
    : m_options(spec.options), m_env(spec.env), m_labels(spec.labels), m_argv(spec.agent_argv), m_hosts(spec.network.hosts) {
  m_options.add(secret);
  for (const Mount& mount : spec.mounts) {
    kortex_mount entry{};
    entry.struct_size = sizeof entry;
    if (mount.read_only) entry.flags |= KORTEX_MOUNT_READ_ONLY;
    if (mount.optional) entry.flags |= KORTEX_MOUNT_OPTIONAL;
    entry.host_path = mount.host.c_str();
    entry.target = mount.target.c_str();
    m_mounts.push_back(entry);
  }
  for (const Port& port : spec.ports) {
    kortex_port entry{};
    entry.struct_size = sizeof entry;
    entry.target = port.target;
    entry.host_port = port.host_port;
    entry.bind = or_null(port.bind);
    m_ports.push_back(entry);
  }
  for (const kortex_mount& mount : m_mounts) m_mount_pointers.push_back(&mount);
  for (const kortex_port& port : m_ports) m_port_pointers.push_back(&port);
  m_mount_pointers.push_back(nullptr);
  m_port_pointers.push_back(nullptr);

  kortex_workspace& w = m_workspace;
  w.struct_size = sizeof w;
  w.option_count = m_options.size();
  w.options = m_options.data();
  w.source_path = or_null(spec.source_path);
  w.config_path = or_null(spec.config_path);
  w.target_path = or_null(spec.target_path);
  w.project = or_null(spec.project);
  w.agent_name = spec.agent_name.c_str();
  w.agent_argv = m_argv.data();
  w.env_count = m_env.size();
  w.env = m_env.data();
  w.label_count = m_labels.size();
  w.labels = m_labels.data();
  w.mounts = m_mount_pointers.data();
  w.ports = m_port_pointers.data();
  w.mount_count = static_cast<std::uint32_t>(m_mounts.size());
  w.port_count = static_cast<std::uint32_t>(m_ports.size());
  w.network = spec.network.mode == Network::Mode::deny ? KORTEX_NETWORK_DENY : KORTEX_NETWORK_ALLOW;
  w.allowed_host_count = m_hosts.size();
  w.allowed_hosts = m_hosts.data();
  w.cpus_milli = spec.resources.cpus_milli;
  w.memory_bytes = spec.resources.memory_bytes;
  w.processes = spec.resources.processes;
  w.image = or_null(spec.image);
  w.build_context = or_null(spec.build_context);
  w.build_file = or_null(spec.build_file);
  w.uid = spec.uid;
  w.gid = spec.gid;
}

kortex_ref ref_of(const InstanceRef& instance) {
  kortex_ref ref{};
  ref.struct_size = sizeof ref;
  ref.key = instance.key.c_str();
  ref.id = or_null(instance.id);
  ref.name = instance.name.c_str();
  ref.state_dir = or_null(instance.state_dir);
  return ref;
}

}  // namespace kortex::host
