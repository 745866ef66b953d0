/// QEMU's command line: the least machine that a workspace needs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "initramfs.hpp"
#include "root.hpp"
#include "share.hpp"

namespace kortex::microvm {

/// Descriptors that QEMU is started with.
inline constexpr int qmp_descriptor = 4;
inline constexpr int share_descriptor = 5;
inline constexpr int network_descriptor = 6;
inline constexpr int console_descriptor = 7;
inline constexpr int initramfs_descriptor = 8;
inline constexpr int first_port_descriptor = 9;

/// The virtio ports' sockets: one for the runtime itself, and one per session of a user. A port costs the guest four
/// megabytes, because its kernel keeps a thousand pages ready for what comes, and time: users' ports are plugged in
/// when they are first used.
inline constexpr const char* control_socket = "control.sock";
inline constexpr unsigned most_sessions = 29;
[[nodiscard]] std::string session_socket(unsigned session);  ///< from 1
[[nodiscard]] std::string plugged_mark(unsigned session);    ///< the file that says that it is there
[[nodiscard]] std::string session_port(unsigned session);    ///< for QEMU's device_add, as JSON

struct Machine {
  std::string type = "microvm";  ///< "microvm", "q35", "virt"
  bool emulated = false;         ///< TCG instead of KVM
  std::string name;
  unsigned cpus = 1;
  std::int64_t memory_bytes = 0;
  std::string kernel, initramfs;
  std::string disk;           ///< the writable one
  Root root;
  bool by_9p = false;            ///< QEMU serves the files itself, instead of virtiofsd
  bool network = false;
  unsigned sessions = 8;
  std::int64_t counter_khz = 0;  ///< 0: unknown
};

[[nodiscard]] Bus bus_of(const Machine&);
[[nodiscard]] std::string default_machine();

[[nodiscard]] std::vector<std::string> qemu_command(const std::string& program, const Machine&);

}  // namespace kortex::microvm
