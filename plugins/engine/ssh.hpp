/// Engines of other machines, through ssh. Who may log in there, with which key and against which host key, is
/// ssh's business alone: it is run without a prompt and never given more than the address.
///
/// The commands of a minute share one ssh connection (ControlMaster), which ends by itself when it has not been
/// used for that long. The engine's socket there is forwarded to one here: a request costs a round trip, where a
/// connection per command would cost a login. Nothing but sshd and the engine is needed on the other machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/fd.hpp>

namespace kortex::engine {

/// "ssh://[USER@]MACHINE[:PORT][/SOCKET]", and perhaps a file with the key (podman's connections name one).
struct SshAddress {
  std::string user, machine, port, socket, identity;

  /// nullopt: not an ssh address. Throws INVALID for one that is wrong. `text`: the URL, or URL, tab, key file.
  [[nodiscard]] static std::optional<SshAddress> parse(const std::string& text);
  [[nodiscard]] std::string destination() const { return user.empty() ? machine : user + "@" + machine; }
  /// "ssh -p 2222 user@machine", to be typed.
  [[nodiscard]] std::string by_hand() const { return "ssh " + (port.empty() ? "" : "-p " + port + " ") + destination(); }
};

/// What is known of the machine and the user there.
struct RemoteMachine {
  std::string destination, by_hand; ///< "user@machine" and "ssh user@machine", for messages
  std::uint32_t uid = 0, gid = 0;
  std::string architecture;        ///< as `uname -m` has it
  std::string socket;              ///< of the engine there
  bool socket_is_roots = false, selinux = false;
};

/// A path on the other machine.
struct RemotePath {
  bool exists = false, is_directory = false;
  std::uint32_t uid = 0, gid = 0;
};

class SshConnection {
 public:
  /// Connects, unless a connection of the last minute still serves. `directory`: the plugin's runtime directory.
  /// `socket_script`: shell text that sets $s to the path of the engine's socket there. `enable_hint`: what to type
  /// there when the socket does not exist.
  SshConnection(const Call& call, std::string directory, const std::string& engine, SshAddress address, const std::string& socket_script,
                const std::string& enable_hint);

  /// The engine's socket, as it can be connected to here.
  [[nodiscard]] std::string socket() const { return m_directory + "/" + m_name + ".sock"; }
  [[nodiscard]] const RemoteMachine& machine() const { return m_machine; }
  /// A stream to the engine.
  [[nodiscard]] Fd take_stream() { return std::move(m_stream); }
  /// Of each path, in order.
  [[nodiscard]] std::vector<RemotePath> examine(const Call& call, const std::vector<std::string>& paths) const;
  /// For a git worktree whose repository is elsewhere there: that repository's own directory; else empty.
  [[nodiscard]] std::string git_directory(const Call& call, const std::string& sources) const;

 private:
  [[nodiscard]] std::vector<std::string> command(bool configured) const;
  [[nodiscard]] std::string run(const Call& call, const std::string& script) const;
  [[nodiscard]] bool reuse();
  void forward(const Call& call) const;

  std::string m_directory, m_engine, m_name;
  SshAddress m_address;
  RemoteMachine m_machine;
  Fd m_stream;
};

}  // namespace kortex::engine
