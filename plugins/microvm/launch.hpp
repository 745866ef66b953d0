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

 private:
  void spawn(const std::vector<std::string>& command, const std::vector<int>& given, const char* log) const;
  [[nodiscard]] Fd start_console() const;

  const InstanceFiles& m_files;
  Fd m_lock;
  Fd m_share, m_network;  // QEMU's ends; no network: empty
};

}  // namespace kortex::microvm
