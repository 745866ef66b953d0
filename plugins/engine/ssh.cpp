#include "engine/ssh.hpp"

#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <sstream>
#include <system_error>

#include "engine/http.hpp"

namespace kortex::engine {
namespace {

// Login scripts may print what they like before it.
constexpr const char* marker = "kortex-machine 1";
constexpr int ssh_itself_failed = 255;

std::string last_line(const std::string& text) {
  std::istringstream in(text);
  std::string line, last;
  while (std::getline(in, line)) {
    while (!line.empty() && (line.back() == '\r' || line.back() == '.' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) last = line;
  }
  return last;
}

std::string quoted(const std::string& word) {
  std::string out = "'";
  for (const char c : word) out += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return out + "'";
}

/// Two agents may hold two keys, and so be two users there.
std::string name_of(const std::string& engine, const SshAddress& address) {
  const char* agent = std::getenv("SSH_AUTH_SOCK");
  std::string all = engine;
  for (const std::string& part : {address.user, address.machine, address.port, address.socket, address.identity, std::string(agent == nullptr ? "" : agent)})
    all += '\0' + part;
  char text[32];
  std::snprintf(text, sizeof text, "ssh-%016zx", std::hash<std::string>()(all));
  return text;
}

RemoteMachine machine_of(const std::string& text, std::string& state) {
  std::istringstream in(text);
  std::string line, key, value;
  RemoteMachine out;
  bool begun = false;
  while (std::getline(in, line)) {
    if (line == marker) begun = true;
    const std::size_t space = line.find(' ');
    if (!begun || space == std::string::npos) continue;
    key = line.substr(0, space);
    value = line.substr(space + 1);
    if (key == "uid") out.uid = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    if (key == "gid") out.gid = static_cast<std::uint32_t>(std::strtoul(value.c_str(), nullptr, 10));
    if (key == "arch") out.architecture = value;
    if (key == "socket") out.socket = value;
    if (key == "owner") out.socket_is_roots = value == "0";
    if (key == "selinux") out.selinux = value == "1";
    if (key == "state") state = value;
  }
  return out;
}

}  // namespace

std::optional<SshAddress> SshAddress::parse(const std::string& text) {
  if (text.rfind("ssh://", 0) != 0) return std::nullopt;
  const auto wrong = [&text](const char* why) {
    return Error(KORTEX_E_INVALID, "cannot use engine '" + text.substr(0, text.find('\t')) + "': " + why, "--runtime-option host=ssh://USER@MACHINE");
  };
  SshAddress out;
  const std::size_t tab = text.find('\t');
  if (tab != std::string::npos) out.identity = text.substr(tab + 1);
  std::string rest = text.substr(6, tab == std::string::npos ? tab : tab - 6);
  if (const std::size_t slash = rest.find('/'); slash != std::string::npos) {
    out.socket = rest.substr(slash);
    if (out.socket == "/") out.socket.clear();
    rest.erase(slash);
  }
  if (const std::size_t at = rest.rfind('@'); at != std::string::npos) {
    out.user = rest.substr(0, at);
    rest.erase(0, at + 1);
    if (out.user.find(':') != std::string::npos)
      throw Error(KORTEX_E_INVALID, "cannot use an engine by ssh with a password in its address: ssh asks for none", "ssh-copy-id " + rest);
  }
  if (!rest.empty() && rest.front() == '[') {
    const std::size_t end = rest.find(']');
    if (end == std::string::npos) throw wrong("not an address");
    out.machine = rest.substr(1, end - 1);
    rest.erase(0, end + 1);
  } else {
    out.machine = rest.substr(0, rest.find(':'));
    rest.erase(0, out.machine.size());
  }
  if (!rest.empty()) {
    out.port = rest.substr(1);
    if (rest.front() != ':' || out.port.empty() || out.port.size() > 5 || out.port.find_first_not_of("0123456789") != std::string::npos)
      throw wrong("its port is not a number");
  }
  if (out.machine.empty()) throw wrong("it names no machine");
  // What ssh would take for an option is not a name.
  if (out.machine.front() == '-' || (!out.user.empty() && out.user.front() == '-')) throw wrong("not an address");
  return out;
}

SshConnection::SshConnection(const Call& call, std::string directory, const std::string& engine, SshAddress address,
                             const std::string& socket_script, const std::string& enable_hint)
    : m_directory(std::move(directory)), m_engine(engine), m_name(name_of(engine, address)), m_address(std::move(address)) {
  if (reuse()) return;
  const std::string lock_path = m_directory + "/" + m_name + ".lock";
  const Fd lock(::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!lock) throw std::system_error(errno, std::generic_category(), "cannot open '" + lock_path + "'");
  // Whoever is logging in right now may be doing so for us; he cannot be waited for for ever.
  while (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) throw std::system_error(errno, std::generic_category(), "cannot lock '" + lock_path + "'");
    call.wait_readable(-1, std::chrono::milliseconds(50));
  }
  if (reuse()) return;

  call.progress("connect", "connecting to " + m_address.destination());
  std::string script = "s=" + quoted(m_address.socket) + "\n";
  if (m_address.socket.empty()) script += socket_script;
  script += "echo '" + std::string(marker) +
            "'\n"
            "echo uid $(id -u); echo gid $(id -g); echo arch $(uname -m); echo \"socket $s\"\n"
            "echo owner $(stat -L -c %u \"$s\" 2>/dev/null); echo selinux $(cat /sys/fs/selinux/enforce 2>/dev/null)\n"
            "if [ ! -S \"$s\" ]; then echo state absent; elif [ ! -w \"$s\" ]; then echo state denied; else echo state there; fi\n";
  const std::string answer = run(call, script);
  std::string state;
  m_machine = machine_of(answer, state);
  const std::string where = "cannot reach " + m_engine + " on '" + m_address.destination() + "' at '" + m_machine.socket + "': ";
  if (state.empty())
    throw Error(KORTEX_E_UNAVAILABLE, "cannot reach " + m_engine + " on '" + m_address.destination() + "': there is no POSIX shell", "", answer);
  if (state == "absent") throw Error(KORTEX_E_UNAVAILABLE, where + "no such socket there", m_address.by_hand() + " " + enable_hint);
  if (state == "denied")
    throw Error(KORTEX_E_PERMISSION, where + "the user there may not use it", m_address.by_hand() + " sudo usermod -aG " + m_engine + " '$USER'");

  const std::string facts = m_directory + "/" + m_name + ".facts", temporary = facts + ".new";
  {
    std::ofstream kept(temporary);
    ::chmod(temporary.c_str(), 0600);  // whatever the umask
    kept << answer;
  }
  if (::rename(temporary.c_str(), facts.c_str()) != 0) throw std::system_error(errno, std::generic_category(), "cannot write '" + facts + "'");
  forward(call);
  if (!reuse())
    throw Error(KORTEX_E_UNAVAILABLE, where + "ssh does not forward its socket",
                m_address.by_hand() + " grep -i streamlocal /etc/ssh/sshd_config");
}

bool SshConnection::reuse() {
  std::error_code error;
  m_stream = connect_unix(socket(), error);
  if (!m_stream) return false;
  std::ifstream in(m_directory + "/" + m_name + ".facts");
  std::stringstream text;
  text << in.rdbuf();
  std::string state;
  m_machine = machine_of(text.str(), state);
  m_machine.destination = m_address.destination();
  m_machine.by_hand = m_address.by_hand();
  return !m_machine.socket.empty();
}

std::vector<std::string> SshConnection::command(bool configured) const {
  // Relative to the directory they are in: the path of a socket cannot be long, and ssh makes it longer.
  std::vector<std::string> out{"ssh", "-T", "-o", "ControlPath=" + m_name + ".ctl"};
  if (!configured) {
    // Only speaks to the connection that is there already; forwards of the user's own configuration are not repeated.
    out.insert(out.end(), {"-F", "none"});
  } else {
    for (const char* option :
         {"BatchMode=yes", "ControlMaster=auto", "ControlPersist=60", "ClearAllForwardings=yes", "StreamLocalBindUnlink=yes", "RemoteCommand=none",
          "ForwardAgent=no", "ForwardX11=no", "ServerAliveInterval=15", "ServerAliveCountMax=3", "LogLevel=ERROR"}) {
      out.emplace_back("-o");
      out.emplace_back(option);
    }
    if (!m_address.identity.empty()) out.insert(out.end(), {"-i", m_address.identity});
  }
  if (!m_address.port.empty()) out.insert(out.end(), {"-p", m_address.port});
  if (!m_address.user.empty()) out.insert(out.end(), {"-l", m_address.user});
  return out;
}

std::string SshConnection::run(const Call& call, const std::string& script) const {
  Process process;
  process.argv = command(true);
  process.argv.insert(process.argv.end(), {"--", m_address.machine, "exec sh"});
  process.cwd = m_directory;
  process.input = script;
  const ProcessResult result = call.run(process);
  if (result.exit_code == ssh_itself_failed) {
    const std::string said = last_line(result.err);
    throw Error(KORTEX_E_UNAVAILABLE, "cannot reach '" + m_address.destination() + "' by ssh: " + (said.empty() ? "the connection was refused" : said),
                m_address.by_hand() + " true", result.err);
  }
  return result.out;
}

void SshConnection::forward(const Call& call) const {
  Process process;
  process.argv = command(false);
  process.argv.insert(process.argv.end(), {"-O", "forward", "-L", "./" + m_name + ".sock:" + m_machine.socket, "--", m_address.machine});
  process.cwd = m_directory;
  const ProcessResult result = call.run(process);
  if (result.exit_code != 0)
    throw Error(KORTEX_E_UNAVAILABLE, "cannot forward the socket of " + m_engine + " on '" + m_address.destination() + "': " + last_line(result.err), "",
                result.err);
}

std::string SshConnection::git_directory(const Call& call, const std::string& sources) const {
  // What outside_git_directory() does, where the files are.
  std::istringstream in(run(call, "echo '" + std::string(marker) + "'\ncd -- " + quoted(sources) + R"sh( && [ -f .git ] || exit 0
here=$(pwd -P)
read -r key d < .git
[ "$key" = gitdir: ] && cd -- "$d" 2>/dev/null || exit 0
own=$(pwd -P)
back=$([ -f gitdir ] && head -n 1 gitdir)
case $own:$back in
*/worktrees/*:?*) cd -- "$(dirname -- "$back")" && [ "$(pwd -P)/$(basename -- "$back")" = "$here/.git" ] || exit 0; cd -- "$own/../.." ;;
*) back=$([ -f config ] && sed -n 's/^[[:space:]]*worktree[[:space:]]*=[[:space:]]*//p' config | head -n 1)
  [ -n "$back" ] && cd -- "$back" && [ "$(pwd -P)" = "$here" ] || exit 0; cd -- "$own" ;;
esac
[ -e HEAD ] && [ -d objects ] && [ -d refs ] && pwd -P
)sh"));
  std::string line;
  while (std::getline(in, line) && line != marker) {
  }
  return std::getline(in, line) ? line : std::string();
}

std::vector<RemotePath> SshConnection::examine(const Call& call, const std::vector<std::string>& paths) const {
  std::string script = "echo '" + std::string(marker) + "'\n";
  for (const std::string& path : paths) script += "stat -L -c '%f %u %g' -- " + quoted(path) + " 2>/dev/null || echo none\n";
  std::istringstream in(run(call, script));
  std::string line;
  while (std::getline(in, line) && line != marker) {
  }
  std::vector<RemotePath> out;
  for (std::size_t i = 0; i < paths.size(); ++i) {
    RemotePath path;
    unsigned mode = 0, uid = 0, gid = 0;
    if (!std::getline(in, line))
      throw Error(KORTEX_E_UNAVAILABLE, "cannot look for '" + paths[i] + "' on '" + m_address.destination() + "': the shell there said nothing");
    if (std::sscanf(line.c_str(), "%x %u %u", &mode, &uid, &gid) == 3) path = {true, (mode & 0170000) == 0040000, uid, gid};
    out.push_back(path);
  }
  return out;
}

}  // namespace kortex::engine
