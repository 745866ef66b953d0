/// The host's values as the structs of the ABI. Each keeps what it points to; the values it was made from must outlive it.
#pragma once

#include <kortex/runtime.h>

#include <string>
#include <vector>

#include "runtimes/runtime.hpp"
#include "runtimes/workspace_spec.hpp"

namespace kortex::host {

class KeyValueArray {
 public:
  KeyValueArray() = default;
  explicit KeyValueArray(const KeyValues& pairs) { add(pairs); }
  void add(const KeyValues& pairs) {
    for (const auto& [key, value] : pairs) m_entries.push_back({key.c_str(), value.c_str()});
  }
  [[nodiscard]] const kortex_kv* data() const { return m_entries.data(); }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(m_entries.size()); }

 private:
  std::vector<kortex_kv> m_entries;
};

class StringArray {
 public:
  explicit StringArray(const std::vector<std::string>& texts) {
    for (const std::string& text : texts) m_entries.push_back(text.c_str());
    m_entries.push_back(nullptr);
  }
  [[nodiscard]] const char* const* data() const { return m_entries.data(); }
  [[nodiscard]] std::uint32_t size() const { return static_cast<std::uint32_t>(m_entries.size() - 1); }

 private:
  std::vector<const char*> m_entries;
};

class WorkspaceArgs {
 public:
  /// `secret`: the SECRET options, for create().
  explicit WorkspaceArgs(const WorkspaceSpec& spec, const KeyValues& secret = {});
  WorkspaceArgs(const WorkspaceArgs&) = delete;
  WorkspaceArgs& operator=(const WorkspaceArgs&) = delete;
  [[nodiscard]] const kortex_workspace* get() const { return &m_workspace; }

 private:
  KeyValueArray m_options, m_env, m_labels;
  StringArray m_argv, m_hosts;
  std::vector<kortex_mount> m_mounts;
  std::vector<kortex_port> m_ports;
  std::vector<const kortex_mount*> m_mount_pointers;
  std::vector<const kortex_port*> m_port_pointers;
  kortex_workspace m_workspace{};
};

[[nodiscard]] kortex_ref ref_of(const InstanceRef&);

}  // namespace kortex::host
