#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include <kortex/roster.hpp>
#include <kortex/runtime.hpp>
#include <kortex/session_call.hpp>

#include "bubblewrap.hpp"
#include "environment.hpp"
#include "followed_output.hpp"
#include "instance_files.hpp"
#include "launch.hpp"
#include "limits.hpp"
#include "paths.hpp"
#include "processes.hpp"
#include "public_etc.hpp"
#include "sandbox_view.hpp"
#include "seccomp_filter.hpp"
#include "time_limit.hpp"

namespace kortex::process {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds default_grace = 10s;

bool sandboxed(const Workspace& workspace) { return workspace.options.get("sandbox", "bwrap") != "none"; }

std::string quoted(const std::string& text) { return "'" + text + "'"; }

// Only the ports of the very machine: they are the agent's, so they cannot be moved.
void check_ports(const Workspace& workspace) {
  for (const Port& port : workspace.ports) {
    const std::string number = std::to_string(port.target);
    if (workspace.network_denied)
      throw Error(KORTEX_E_UNSUPPORTED, "cannot forward port " + number + ": the agent has no network but its own");
    if (port.host_port != 0 && port.host_port != port.target)
      throw Error(KORTEX_E_UNSUPPORTED, "cannot forward port " + number + " to " + std::to_string(port.host_port) +
                                            ": the agent uses the host's ports, and cannot be given another");
    if (port.bind != "127.0.0.1")
      throw Error(KORTEX_E_UNSUPPORTED, "cannot bind port " + number + " to " + quoted(port.bind) +
                                            ": the agent uses the host's ports, and chooses the address itself");
  }
}

void check_bare(const Workspace& workspace) {
  if (normal(workspace.target_path) != normal(workspace.source_path))
    throw Error(KORTEX_E_INVALID, "cannot show the sources at " + quoted(workspace.target_path) + ": without a sandbox they are where they are");
}

void make_directory(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), "cannot make '" + path + "'");
}

// A file system of its own would be memory; this one is the disk's, emptied so that nothing piles up.
void make_fresh(const std::string& path) {
  remove_tree(path);
  make_directory(path, 0700);
  ::chmod(path.c_str(), 01777);
}

std::string socket_of(const InstanceFiles& files) { return files.path("session.sock"); }

/// The host's path of a program that the agent's name would mean outside; "" when there is none.
std::string found_outside(const std::string& program) {
  if (program.find('/') != std::string::npos) return exists(program) ? program : std::string();
  const std::string path = kortex::detail::or_empty(::getenv("PATH"));
  for (std::size_t at = 0; at <= path.size();) {
    const std::size_t end = std::min(path.find(':', at), path.size());
    std::string place = path.substr(at, end - at) + "/" + program;
    if (::access(place.c_str(), X_OK) == 0) return place;
    at = end + 1;
  }
  return {};
}

}  // namespace

/// Runs the agent on this machine, in a bubblewrap sandbox or, when asked for, without any.
class ProcessRuntime : public Runtime, public Execs, public Terminals, public Logs, public Waits, public Lists {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    return {{"sandbox", "bwrap: isolate the agent; none: run it with all your rights", KORTEX_OPT_ENUM, 0, "bwrap", {"bwrap", "none"}}};
  }

  explicit ProcessRuntime(const Open& open) : m_host(open.host), m_roster(open.host.state_dir()) {}

  Probe probe(Call& call) override {
    const std::string version = bubblewrap_version(call);
    require_bubblewrap(call, NetworkOf::host);
    require_holder();
    return {version, {}};
  }

  Guarantees guarantees(Call& call, const Workspace& workspace) override {
    // Without a sandbox there is no denying: that is then what is not enforced, and the ports are none of its trouble.
    if (sandboxed(workspace) || !workspace.network_denied) check_ports(workspace);
    Guarantees given;
    given.enforces = KORTEX_GUARANTEE_NETWORK_ALLOW | KORTEX_GUARANTEE_TTY | KORTEX_GUARANTEE_DETACH | enforceable_limits();
    if (!workspace.network_denied || !sandboxed(workspace)) given.enforces |= KORTEX_GUARANTEE_PORTS;
    if (!sandboxed(workspace)) {
      check_bare(workspace);
      given.isolation = Isolation::none;
      given.exposure = {"everything: the agent runs with all rights of your user, on all your files, processes and networks"};
      return given;
    }
    require_bubblewrap_once(call, workspace.network_denied ? NetworkOf::own : NetworkOf::host, m_host.runtime_dir());
    check_mount_targets(*workspace.raw);
    given.isolation = Isolation::process;
    given.enforces |= KORTEX_GUARANTEE_NETWORK_DENY | KORTEX_GUARANTEE_MOUNTS | KORTEX_GUARANTEE_READ_ONLY_MOUNTS;
    given.exposure = exposure(*workspace.raw, places(""));
    return given;
  }

  Instance create(Call&, const Ref& ref, const Workspace& workspace) override {
    const InstanceFiles files(ref);
    if (!files.record()) {
      check_ports(workspace);
      for (const char* name : {"home", "tmp"}) make_directory(files.path(name), 0700);
      if (sandboxed(workspace))
        (void)sandbox_view(*workspace.raw, places(files.directory()));  // what cannot be mounted is said now
      else
        check_bare(workspace);
      Record record;
      record.created_ms = now_ms();
      record.sandboxed = sandboxed(workspace);
      for (const Port& port : workspace.ports) record.ports.push_back(port.target);
      m_roster.add(ref, workspace.labels);
      files.write_record(record);
    }
    Instance made = files.observe();
    made.id = ref.key();
    return made;
  }

  Instance start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) override {
    const InstanceFiles files(ref);
    const std::optional<Record> record = files.record();
    if (!record) throw Error(KORTEX_E_NOT_FOUND, "cannot start " + quoted(ref.name()) + ": its instance is gone");
    if (files.alive()) {
      const session::StatusFile story = files.story();
      if (story.started && !story.ended) return files.observe();
      // Someone died while starting it, or the holder lingers over an agent that has ended.
      end(call, ref, files, *record, 0ms);
    }
    if (!record->sandboxed) kill_marked(instance_marker(ref.key()));
    require_holder();
    Launch launch;
    launch.key = ref.key();
    launch.holder = record->sandboxed ? holder_in_sandbox : m_host.session_program();
    for (const char* name : {"home", "tmp"}) make_directory(files.path(name), 0700);
    if (record->sandboxed) {
      make_fresh(files.path("tmp"));
      launch.wrapper = {"bwrap"};
      launch.filter = seccomp_filter();
      const std::vector<std::string> arguments =
          sandbox_command(sandbox_view(*workspace.raw, places(files.directory())), *workspace.raw, static_cast<bool>(launch.filter));
      launch.wrapper.insert(launch.wrapper.end(), arguments.begin(), arguments.end());
    }
    const session::Program agent = agent_program(ref, workspace, record->sandboxed, env);
    launch.limit_groups = make_limit_groups(ref.key(), workspace);
    try {
      launch_holder(call, files, launch);
    } catch (...) {
      remove_limit_groups(ref.key());
      throw;
    }
    try {
      start_agent(agent, workspace, files, record->sandboxed);
    } catch (...) {
      discard(ref, files, *record);
      throw;
    }
    return files.observe();
  }

  Instance stop(Call& call, const Ref& ref, const StopMode& mode) override {
    const InstanceFiles files(ref);
    if (const std::optional<Record> record = files.record())
      end(call, ref, files, *record, mode.kill ? 0ms : mode.grace.value_or(default_grace));
    return files.observe();
  }

  void remove(Call& call, const Ref& ref, RemoveMode mode) override {
    const InstanceFiles files(ref);
    const std::optional<Record> record = files.record();
    const bool listed = m_roster.has(ref.key());
    if (!record && !listed && !exists(files.directory())) return;
    if (files.alive() && !files.story().ended && mode == RemoveMode::stopped_only)
      throw Error(KORTEX_E_STATE, "cannot remove " + quoted(ref.name()) + ": it is running", "kortex-cli stop " + std::string(ref.name()));
    end(call, ref, files, record.value_or(Record{}), 0ms);
    if (!record && listed) kill_marked(instance_marker(ref.key()));  // its directory went before it did
    remove_limit_groups(ref.key());
    for (const char* name : {"home", "tmp", "session.sock", "session.lock", "session.status", "output.0", "output.1", "boot",
                             "boot.new", "instance.new", "instance"})
      remove_tree(files.path(name));
    m_roster.remove(ref.key());
  }

  void list(Call& call) override {
    for (const Roster::Entry& entry : m_roster.all()) {
      Instance instance = InstanceFiles(entry.directory).observe();
      if (instance.state == State::gone) {
        instance.pid = find_marked(instance_marker(entry.key));
        instance.state = instance.pid != 0 ? State::running : State::stopped;
      }
      if (instance.created_ms == 0) instance.created_ms = entry.created_ms;
      instance.key = instance.id = entry.key;
      instance.labels = entry.labels;
      call.emit(instance);
    }
  }

  void inspect(Call& call, const std::vector<Ref>& refs) override {
    for (const Ref& ref : refs) call.emit(ref, InstanceFiles(ref).observe());
  }

  Exit exec(Call& call, const Ref& ref, const Execution& execution) override { return run(call, ref, execution); }

  Exit terminal(Call& call, const Ref& ref, const Execution& execution) override {
    if (!execution.argv.empty()) return run(call, ref, execution);
    try {
      const session::End end = connect(ref, "enter").attach(session::streams_of(call.raw(), execution.raw));
      if (end.how != KORTEX_END_DETACHED) settle(call, InstanceFiles(ref));
      return session::exit_of(end);
    } catch (const session::Error& error) {
      return told_end(call, InstanceFiles(ref), error);
    }
  }

  Exit wait(Call& call, const Ref& ref) override {
    const InstanceFiles files(ref);
    const session::StatusFile story = files.story();
    if (!files.alive() || story.ended) return {KORTEX_END_EXITED, files.story().exit_code};
    try {
      const session::End end = session::Client::connect(socket_of(files)).wait(call.raw()->cancel_fd);
      settle(call, files);
      return session::exit_of(end);
    } catch (const session::Error& error) {
      return told_end(call, files, error);
    }
  }

  void logs(Call& call, const Ref& ref, const LogsRequest& request) override;

 private:
  void require_holder() const {
    if (m_host.session_program()[0] == '\0')
      throw Error(KORTEX_E_UNAVAILABLE, "cannot run the agent: the session holder 'kortex-session' is not installed");
  }

  [[nodiscard]] HostPlaces places(const std::string& state_dir) const {
    const std::string own(m_host.state_dir());
    // Once for a create() and a start() in a row, which need it to be as it is now, not as it is a millisecond later.
    if (m_etc.empty() && !state_dir.empty()) m_etc = public_etc(own);
    return {home_directory(), state_dir, own, m_host.session_program(), m_etc};
  }

  static session::Client connect(const Ref& ref, const std::string& what) {
    const InstanceFiles files(ref);
    const session::StatusFile story = files.story();
    if (!files.alive() || !story.started || story.ended)
      throw not_running(ref, what);
    return session::Client::connect(socket_of(files));
  }

  /// The holder tells that the agent has ended before it has ended the rest and itself; who asks next must not hear
  /// "running". What the holder leaves alive for longer than its own patience is not waited for.
  static void settle(Call& call, const InstanceFiles& files) { (void)files.wait_until_dead(call, 3s); }

  /// Within a `catch`: the agent may have ended between the look at its story and the connection, and the holder with it.
  static Exit told_end(Call& call, const InstanceFiles& files, const session::Error& error) {
    if (error.code != KORTEX_E_NOT_FOUND && error.code != KORTEX_E_BACKEND) throw;
    const bool dead = files.wait_until_dead(call, 2s);
    const session::StatusFile story = files.story();
    if (!dead || !story.ended) throw;
    return {KORTEX_END_EXITED, story.exit_code};
  }

  static Error not_running(const Ref& ref, const std::string& what) {
    return {KORTEX_E_STATE, "cannot " + what + " " + quoted(ref.name()) + ": it is not running", "kortex-cli start " + std::string(ref.name())};
  }

  static Exit run(Call& call, const Ref& ref, const Execution& execution) {
    if (!execution.user.empty())
      throw Error(KORTEX_E_UNSUPPORTED, "cannot run a program as " + quoted(execution.user) + ": an instance of this runtime has one user");
    try {
      return session::exit_of(connect(ref, "run a program in").run(session::program_of(execution), session::streams_of(call.raw(), execution.raw)));
    } catch (const session::Error& error) {
      const bool lost = error.code == KORTEX_E_BACKEND || error.code == KORTEX_E_NOT_FOUND;
      if (lost && InstanceFiles(ref).wait_until_dead(call, 2s)) throw not_running(ref, "run a program in");
      throw;
    }
  }

  static session::Program agent_program(const Ref& ref, const Workspace& workspace, bool sandboxed, const std::vector<std::string>& env) {
    session::Program agent;
    agent.argv = workspace.agent_argv;
    agent.env = agent_environment(ref, workspace, sandboxed, env);
    agent.cwd = workspace.target_path;
    agent.tty = true;
    return agent;
  }

  static void start_agent(const session::Program& agent, const Workspace& workspace, const InstanceFiles& files, bool sandboxed) {
    try {
      session::Client::connect(socket_of(files)).start_agent(agent);
    } catch (const session::Error& error) {
      std::string hint = error.hint;
      const std::string outside = found_outside(agent.argv.front());
      if (sandboxed && hint.empty() && !outside.empty() && !lies_in(resolved(outside), "/usr"))
        hint = "the sandbox does not show " + quoted(outside) + ": list its directory in \"mounts\" of .kortex/workspace.json";
      throw Error(error.code, "cannot start agent " + quoted(workspace.agent_name) + ": " + error.what(), hint, error.detail);
    }
  }

  /// Everything of the instance is dead afterwards. Throws TIMEOUT when it cannot be killed, Cancelled.
  static void end(Call& call, const Ref& ref, const InstanceFiles& files, const Record& record, std::chrono::milliseconds grace) {
    const bool lived = files.alive();
    if (lived) {
      const std::int64_t holder = files.holder_pid();
      // The holder is in the agent's reach, who may have stopped it: it is asked, and not relied on.
      const TimeLimit enough(call.raw()->cancel_fd, grace + 2s);
      try {
        session::Client::connect(socket_of(files), 2000).stop(static_cast<int>(grace.count()), enough.fd());
      } catch (const session::Error&) {
        call.throw_if_cancelled();
      }
      if (holder == 0 || !files.wait_until_dead(call, 500ms)) {
        kill_instance(files);
        if (!files.wait_until_dead(call, 10s))
          throw Error(KORTEX_E_TIMEOUT, "cannot stop " + quoted(ref.name()) + ": its processes cannot be killed");
      }
    }
    if (!record.sandboxed) kill_marked(instance_marker(ref.key()));
    const session::StatusFile story = files.story();
    if (lived && story.started && !story.ended) files.write_end(128 + 9);
    if (lived && !story.started) ::unlink(files.path("session.status").c_str());
    remove_limit_groups(ref.key());
  }

  static void discard(const Ref& ref, const InstanceFiles& files, const Record& record) noexcept {
    try {
      kill_instance(files);
      if (!record.sandboxed) kill_marked(instance_marker(ref.key()));
      if (!files.alive()) ::unlink(files.path("session.status").c_str());
      remove_limit_groups(ref.key());
    } catch (...) {
      // The error that led here is the one to tell; what is left is found by the next start or stop.
      return;
    }
  }

  Host m_host;
  Roster m_roster;
  mutable std::string m_etc;  ///< what public_etc() said
};

void ProcessRuntime::logs(Call& call, const Ref& ref, const LogsRequest& request) {
  if (request.timestamps || request.since_ms != 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot tell when " + quoted(ref.name()) + " wrote something: a terminal's output has no times");
  const InstanceFiles files(ref);
  const auto hand_over = [&call](const char* data, std::size_t size) {
    call.output(KORTEX_STREAM_STDOUT, std::string_view(data, size));
    return 0;
  };
  const auto all_there_is = [&] { session::read_log(files.path("output.0"), files.path("output.1"), request.tail, hand_over); };
  const session::StatusFile story = files.story();
  if (!request.follow || !files.alive() || !story.started || story.ended) return all_there_is();
  std::optional<FollowedOutput> followed;
  try {
    followed.emplace(files, socket_of(files), request.tail);
  } catch (const session::Error&) {
    // The agent has ended meanwhile, and the holder with it.
    return all_there_is();
  }
  const FollowedOutput& output = *followed;
  char buffer[16384];
  for (;;) {
    call.wait_readable(output.fd());
    const ssize_t size = ::read(output.fd(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size <= 0) return;
    hand_over(buffer, static_cast<std::size_t>(size));
  }
}

}  // namespace kortex::process

KORTEX_RUNTIME_MORE(kortex::process::ProcessRuntime, "process", KORTEX_RUNTIME_VERSION,
                    "runs the agent on this machine, isolated by bubblewrap",
                    R"(,"options":{"sandbox":["bwrap","none"]})");
