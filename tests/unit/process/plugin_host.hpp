/// A host with one workspace, that calls the process runtime as the real one does.
#pragma once

#include <string>
#include <vector>

#include <kortex/runtime.h>

#include "sandbox.hpp"

namespace kortex::test {

/// A plain command to bubblewrap works on this machine: else the tests of it say so and check nothing.
bool bubblewrap_works();

class PluginHost {
 public:
  explicit PluginHost(const std::string& key = "instance");
  PluginHost(const PluginHost&) = delete;
  PluginHost& operator=(const PluginHost&) = delete;
  ~PluginHost();

  // Change these before the call that is to see them.
  std::string sandbox = "bwrap";
  std::vector<std::string> agent{"/bin/sh", "-c", "exec sleep 1000"};
  kortex_network_mode network = KORTEX_NETWORK_ALLOW;
  std::string source;
  void mount(const std::string& host_path, const std::string& target, std::uint32_t flags);
  void port(std::uint16_t target, std::uint16_t host_port);

  [[nodiscard]] std::string path(const std::string& name) const { return (m_sandbox / name).string(); }
  [[nodiscard]] std::string state(const std::string& name) const { return m_state + "/" + name; }

  kortex_status guarantees(kortex_guarantees& out);
  kortex_status create();
  kortex_status start();
  kortex_status stop(int grace_ms = 200);
  kortex_status remove(std::uint32_t flags = 0);
  kortex_status wait(int& code);
  kortex_state inspect();
  /// Runs a shell command in the instance; returns its status and what it wrote to stdout and stderr.
  int exec(const std::string& command, std::string& output);
  kortex_status logs(std::string& output);

  // What the last call said.
  std::string message, hint, result;
  kortex_state last_state = KORTEX_STATE_UNKNOWN;
  int last_exit = -1;
  std::int64_t last_pid = 0;
  std::string last_status, out;

 private:
  struct Services;
  void fill();

  Sandbox m_sandbox;
  std::string m_state, m_plugin_dir, m_key;
  kortex_host m_host{};
  kortex_call m_call{};
  kortex_ref m_ref{};
  kortex_workspace m_workspace{};
  kortex_kv m_option{};
  std::vector<const char*> m_argv;
  std::vector<std::pair<std::string, std::string>> m_mount_paths;
  std::vector<kortex_mount> m_mounts;
  std::vector<const kortex_mount*> m_mount_pointers;
  std::vector<kortex_port> m_ports;
  std::vector<const kortex_port*> m_port_pointers;
  std::string m_run_out, m_run_err;
  const kortex_plugin* m_plugin = nullptr;
  kortex_runtime* m_runtime = nullptr;
};

}  // namespace kortex::test
