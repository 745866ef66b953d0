/// Starting QEMU and what serves it, so that they outlive us and nothing lives unseen.
#pragma once

#include <string>
#include <vector>

#include "instance_files.hpp"

namespace kortex::microvm {

/// The descriptor on which programs beside QEMU get their socket.
inline constexpr int service_descriptor = 4;

/// In two steps, because what serves QEMU needs a moment, in which the machine can be put together.
class Launch {
 public:
  /// `lock`: of take_lock().
  Launch(const InstanceFiles& files, Fd lock) : m_files(files), m_lock(std::move(lock)) {}
  /// Throws kortex::Error, as the others do.
  void start_share(const std::vector<std::string>& command);
  void start_network(const std::vector<std::string>& passt);
  /// Returns when all of it runs.
  void start_machine(const std::vector<std::string>& qemu, Fd initramfs, unsigned sessions);
  /// Throws for a program beside QEMU that has failed: without its network a machine starts and does not know, and without its share it says
  /// what nobody understands.
  void require_services() const;

 private:
  pid_t spawn(const std::vector<std::string>& command, const std::vector<int>& given, const char* log) const;
  [[nodiscard]] Fd start_console() const;

  const InstanceFiles& m_files;
  Fd m_lock;
  struct Service {
    pid_t pid;
    const char *program, *task, *log;
  };
  std::vector<Service> m_services;
  Fd m_share, m_network;  // QEMU's ends; no network: empty
};

}  // namespace kortex::microvm
