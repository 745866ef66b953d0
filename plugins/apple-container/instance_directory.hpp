/// An instance's directory on this machine. What is shared with the container is in folders of it, because only folders
/// can be shared by every version of the tool:
///     session/   the holder's status and logs (rw)      program/   the holder (ro)      home/   the agent's home (rw)
#pragma once

#include <string>

#include <kortex/session.hpp>
#include <kortex/types.hpp>

#include "container_view.hpp"

namespace kortex::apple {

class InstanceDirectory {
 public:
  explicit InstanceDirectory(const Ref& ref) : m_path(ref.state_dir()) {}

  [[nodiscard]] const std::string& path() const { return m_path; }
  [[nodiscard]] std::string session() const { return m_path + "/session"; }
  [[nodiscard]] std::string program() const { return m_path + "/program"; }
  [[nodiscard]] std::string output(int which) const { return session() + "/output." + std::to_string(which); }
  [[nodiscard]] session::StatusFile story() const { return session::read_status_file(session() + "/status"); }

  /// The tool that made the container, kept for whoever does not choose one; empty: none was made, or the usual one.
  void keep_tool(const std::string& program) const;
  [[nodiscard]] std::string kept_tool() const;

  /// Forgets the last run, and keeps which boot of this machine the next one is in.
  void begin_run() const;
  [[nodiscard]] bool was_begun_before_this_boot() const;
  /// The agent's end, told by whoever killed the holder.
  void write_end(int code) const;
  /// That no agent was started.
  void forget_run() const;

  /// What the last lines of `container` and the holder's own record make of the instance.
  [[nodiscard]] Instance instance(const ContainerView& view) const;

 private:
  std::string m_path;
};

/// What can be told without a directory.
[[nodiscard]] Instance instance_of(const ContainerView& view);

}  // namespace kortex::apple
