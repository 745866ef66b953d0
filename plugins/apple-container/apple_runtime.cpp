#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <map>
#include <system_error>

#include <kortex/runtime.hpp>
#include <kortex/session_call.hpp>

#include "create_plan.hpp"
#include "engine/plan.hpp"
#include "exec_relay.hpp"
#include "holder_program.hpp"
#include "instance_directory.hpp"
#include "tool.hpp"

namespace kortex::apple {
namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds session_patience = 20s;
constexpr std::chrono::milliseconds default_grace = 10s;

std::string name_of(const Ref& ref) { return *ref.name() != '\0' ? ref.name() : ref.key(); }
std::string quoted(const Ref& ref) { return "'" + name_of(ref) + "'"; }
std::string start_of(const Ref& ref) { return "kortex-cli start " + name_of(ref); }

engine::Places places_of(const Ref& ref, const Host& host) {
  const char* home = std::getenv("HOME");
  // The holder's own place in the plan is not used: it depends on the image, which is not there yet.
  return {ref.state_dir(), host.state_dir(), std::string(ref.state_dir()) + "/program/kortex-session", home == nullptr ? "" : home};
}

/// The user, or, where that is root, the owner of the sources: shared folders show who owns what in them.
engine::Identity identity_of(const Workspace& workspace) {
  engine::Identity out;
  const bool root = ::geteuid() == 0;
  out.uid = out.host_uid = root && workspace.uid >= 0 ? static_cast<std::uint32_t>(workspace.uid) : ::geteuid();
  out.gid = out.host_gid = root && workspace.gid >= 0 ? static_cast<std::uint32_t>(workspace.gid) : ::getegid();
  return out;
}

void make_folder(const std::string& path) {
  // Its files are run by the agent's user, whoever that is.
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) throw std::system_error(errno, std::generic_category(), "cannot make directory '" + path + "'");
}

Instance gone() {
  Instance out;
  out.state = State::gone;
  return out;
}

}  // namespace

/// Runs the agent in a container of Apple's `container`: a virtual machine of its own for each.
class AppleRuntime : public Runtime, public Execs, public Terminals, public Logs, public Waits, public Lists {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    return {{"image", std::string("image of the container; without it the configuration's, else ") + default_image},
            {"program", "the 'container' program; without it the one in PATH, on a Mac", KORTEX_OPT_PATH, KORTEX_OPT_GLOBAL}};
  }
  explicit AppleRuntime(const Open& open) : m_host(open.host), m_program(open.options.get("program")) {}

  Probe probe(Call& call) override;
  Guarantees guarantees(Call& call, const Workspace& workspace) override;
  Instance create(Call& call, const Ref& ref, const Workspace& workspace) override;
  Instance start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) override;
  Instance stop(Call& call, const Ref& ref, const StopMode& mode) override;
  void remove(Call& call, const Ref& ref, RemoveMode mode) override;
  void inspect(Call& call, const std::vector<Ref>& refs) override;
  Exit exec(Call& call, const Ref& ref, const Execution& execution) override;
  Exit terminal(Call& call, const Ref& ref, const Execution& execution) override;
  void logs(Call& call, const Ref& ref, const LogsRequest& request) override;
  Exit wait(Call& call, const Ref& ref) override;
  void list(Call& call) override;

 private:
  /// The tool that the instance was made with, or the one that is chosen now.
  [[nodiscard]] Tool tool_of(const Call& call, const Ref& ref) const {
    const std::string kept = InstanceDirectory(ref).kept_tool();
    return {call, kept.empty() ? m_program : kept};
  }
  [[nodiscard]] static std::optional<ContainerView> find_container(Tool& tool, const Ref& ref);
  [[nodiscard]] static ContainerView need_container(Tool& tool, const Ref& ref);
  [[nodiscard]] static std::unique_ptr<ExecRelay> session_of(Tool& tool, const Ref& ref, std::chrono::milliseconds patience = session_patience);
  static void wait_until_serving(Tool& tool, const Ref& ref);
  template <class Session>
  [[nodiscard]] static Exit in_session(Tool& tool, const Ref& ref, Session&& session);
  /// Until the machine has gone as well, for a moment: who asks next should not hear "running".
  static void settle(Tool& tool, const Ref& ref);

  Host m_host;
  std::string m_program;
};

std::optional<ContainerView> AppleRuntime::find_container(Tool& tool, const Ref& ref) {
  std::optional<ContainerView> found = tool.inspect(ref.key());
  if (found && found->label(engine::label_key) != ref.key())
    throw Error(KORTEX_E_EXISTS, "a container of the name '" + std::string(ref.key()) + "' is there, and is not of workspace " + quoted(ref));
  return found;
}

ContainerView AppleRuntime::need_container(Tool& tool, const Ref& ref) {
  std::optional<ContainerView> found = find_container(tool, ref);
  if (!found) throw Error(KORTEX_E_NOT_FOUND, "the container of " + quoted(ref) + " is gone", start_of(ref));
  return std::move(*found);
}

Probe AppleRuntime::probe(Call& call) {
  Tool tool(call, m_program);
  const std::string services = tool.services_version();
  Probe out;
  out.backend = "container " + tool.version().text();
  out.facts.emplace_back("program", tool.program());
  if (!services.empty()) out.facts.emplace_back("services", services);
  out.facts.emplace_back("session holder", carried_holder().empty() ? "none for linux/arm64" : "for linux/arm64");
  return out;
}

Guarantees AppleRuntime::guarantees(Call& call, const Workspace& workspace) {
  Tool tool(call, m_program);
  tool.need_services();
  check_limits(workspace);
  Guarantees out;
  out.isolation = Isolation::microvm;
  out.enforces = KORTEX_GUARANTEE_NETWORK_ALLOW | KORTEX_GUARANTEE_HOST_LOOPBACK | KORTEX_GUARANTEE_READ_ONLY_MOUNTS | KORTEX_GUARANTEE_IMAGE |
                 KORTEX_GUARANTEE_TTY | KORTEX_GUARANTEE_DETACH;
  if (has_network_none(tool.version())) out.enforces |= KORTEX_GUARANTEE_NETWORK_DENY;
  if (can_mount(workspace.mounts, tool.version())) out.enforces |= KORTEX_GUARANTEE_MOUNTS;
  if (!workspace.network_denied) out.enforces |= KORTEX_GUARANTEE_PORTS;
  // Whole processors, and 200 MiB at least: so they are promised where they are asked for.
  if (workspace.cpus_milli > 0) out.enforces |= KORTEX_GUARANTEE_CPUS;
  if (workspace.memory_bytes > 0) out.enforces |= KORTEX_GUARANTEE_MEMORY;
  out.exposure.push_back("the sources in '" + workspace.source_path + "', to read and to write");
  if (const std::string git = engine::outside_git_directory(workspace.source_path); !git.empty())
    out.exposure.push_back("the git repository in '" + git + "' that the sources are a worktree of, to read and to write");
  for (const Mount& mount : workspace.mounts) out.exposure.push_back("'" + mount.host_path + "', to read" + (mount.read_only ? "" : " and to write"));
  if (!workspace.network_denied) out.exposure.emplace_back("the network as Apple's container gives it, this machine's own loopback not included");
  return out;
}

Instance AppleRuntime::create(Call& call, const Ref& ref, const Workspace& workspace) {
  const InstanceDirectory directory(ref);
  Tool tool(call, m_program);
  if (const std::optional<ContainerView> existing = find_container(tool, ref)) return directory.instance(*existing);
  check_limits(workspace);
  check_network(workspace, tool.version());
  const std::string given = workspace.options.get("image");
  const std::string image = !given.empty() ? given : !workspace.image.empty() ? workspace.image : default_image;
  const engine::Places places = places_of(ref, m_host);
  engine::Container container = engine::plan(ref, workspace, places, identity_of(workspace), image, KORTEX_RUNTIME_VERSION);
  choose_ports(container.ports);
  engine::prepare_directories(container, places);
  make_folder(directory.program());
  const std::vector<std::string> arguments = create_arguments(container, directory.program(), tool.version());
  directory.keep_tool(m_program);
  directory.forget_run();
  const bool there = tool.has_image(image);
  if (!there) call.progress("pull", image);
  tool.create("create the container of " + quoted(ref), arguments, there ? 120s : 1800s);
  try {
    const ContainerView made = need_container(tool, ref);
    // Only now is it known which machine the image is for.
    put_holder(made.architecture, m_host.session_program(), directory.program());
    return directory.instance(made);
  } catch (const Cancelled&) {
    throw;
  } catch (const std::exception&) {
    // It is ours, made a moment ago. Where the tool tells of it what is not understood, remove() could not know that.
    try {
      tool.remove("remove the container of " + quoted(ref), ref.key());
    } catch (const std::exception&) {
      // What has gone wrong before is what matters; remove() is asked as well, and tells what is left.
    }
    throw;
  }
}

std::unique_ptr<ExecRelay> AppleRuntime::session_of(Tool& tool, const Ref& ref, std::chrono::milliseconds patience) {
  return ExecRelay::open(tool.call(), {tool.program(), "exec", "--interactive", ref.key(), holder_path, "relay", socket_path}, patience);
}

void AppleRuntime::wait_until_serving(Tool& tool, const Ref& ref) {
  const InstanceDirectory directory(ref);
  const auto until = std::chrono::steady_clock::now() + 60s;
  // What a virtual machine writes into a shared folder is announced to nobody on this side: it has to be looked for.
  for (int looks = 1; !directory.story().serving; ++looks) {
    tool.call().wait_readable(-1, 20ms);
    if (looks % 25 != 0) continue;
    const bool runs = need_container(tool, ref).word != ContainerView::Word::stopped;
    if (directory.story().serving) return;
    if (!runs) throw Error(KORTEX_E_BACKEND, "cannot start the container of " + quoted(ref) + ": its session holder ended at once", "", tool.logs(ref.key()));
    if (std::chrono::steady_clock::now() > until)
      throw Error(KORTEX_E_TIMEOUT, "cannot start the container of " + quoted(ref) + ": its session holder does not serve", "", tool.logs(ref.key()));
  }
}

Instance AppleRuntime::start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) {
  const InstanceDirectory directory(ref);
  Tool tool = tool_of(call, ref);
  ContainerView container = need_container(tool, ref);
  const engine::Places places = places_of(ref, m_host);
  if (container.word == ContainerView::Word::running && directory.story().ended) {
    settle(tool, ref);
    container = need_container(tool, ref);
  }
  const std::string what = "start the container of " + quoted(ref);
  if (container.word != ContainerView::Word::running) {
    // Made by create(); somebody may have tidied up since.
    engine::prepare_directories(engine::plan(ref, workspace, places, identity_of(workspace), "", KORTEX_RUNTIME_VERSION), places);
    make_folder(directory.program());
    put_holder(container.architecture, m_host.session_program(), directory.program());
    directory.begin_run();
    call.progress("boot", "starting the virtual machine");
    tool.start(what, ref.key());
  }
  wait_until_serving(tool, ref);
  {
    const std::unique_ptr<ExecRelay> session = session_of(tool, ref);
    if (session->client().status().agent == session::Status::Agent::not_started) {
      session::Program program;
      program.argv = workspace.agent_argv;
      program.env = engine::agent_environment(container.environment, engine::home_of(places), ref.name(), env);
      program.cwd = workspace.target_path;
      program.tty = true;
      try {
        session->client().start_agent(program);
      } catch (const session::Error&) {
        // No machine is left running without its agent.
        tool.stop("stop the container of " + quoted(ref), ref.key(), 1s);
        throw;
      }
    }
  }
  return directory.instance(need_container(tool, ref));
}

Instance AppleRuntime::stop(Call& call, const Ref& ref, const StopMode& mode) {
  const InstanceDirectory directory(ref);
  Tool tool = tool_of(call, ref);
  const ContainerView container = need_container(tool, ref);
  if (container.word == ContainerView::Word::stopped) return directory.instance(container);
  const std::chrono::milliseconds grace = mode.kill ? 0ms : mode.grace.value_or(default_grace);
  if (container.word == ContainerView::Word::running && directory.story().serving) {
    try {
      const std::unique_ptr<ExecRelay> session = session_of(tool, ref, 5s);
      session->client().stop(static_cast<int>(grace.count()), call.raw()->cancel_fd);
    } catch (const Cancelled&) {
      throw;
    } catch (const session::Error& error) {
      if (error.code == KORTEX_E_CANCELLED) throw;
      // A holder that does not answer gets the tool's own stop below.
    }
    call.throw_if_cancelled();
  }
  tool.stop("stop the container of " + quoted(ref), ref.key(), mode.kill ? 0ms : std::min<std::chrono::milliseconds>(grace, 5s));
  const session::StatusFile story = directory.story();
  if (story.started && !story.ended) directory.write_end(128 + 9);
  return directory.instance(need_container(tool, ref));
}

void AppleRuntime::remove(Call& call, const Ref& ref, RemoveMode mode) {
  Tool tool = tool_of(call, ref);
  const std::optional<ContainerView> container = find_container(tool, ref);
  if (!container) return;
  if (mode == RemoveMode::stopped_only && InstanceDirectory(ref).instance(*container).state == State::running)
    throw Error(KORTEX_E_STATE, "workspace " + quoted(ref) + " is running");
  tool.remove("remove the container of " + quoted(ref), ref.key());
}

void AppleRuntime::inspect(Call& call, const std::vector<Ref>& refs) {
  std::map<std::string, std::vector<const Ref*>> by_tool;
  for (const Ref& ref : refs) by_tool[InstanceDirectory(ref).kept_tool()].push_back(&ref);
  for (const auto& [kept, here] : by_tool) {
    Tool tool(call, kept.empty() ? m_program : kept);
    if (here.size() == 1) {
      const std::optional<ContainerView> container = find_container(tool, *here[0]);
      call.emit(*here[0], container ? InstanceDirectory(*here[0]).instance(*container) : gone());
      continue;
    }
    std::map<std::string, ContainerView> found;
    for (ContainerView& view : tool.list()) {
      std::string key = view.label(engine::label_key);
      if (!key.empty()) found.emplace(std::move(key), std::move(view));
    }
    for (const Ref* ref : here) {
      const auto at = found.find(ref->key());
      call.emit(*ref, at == found.end() ? gone() : InstanceDirectory(*ref).instance(at->second));
    }
  }
}

void AppleRuntime::list(Call& call) {
  if (!Tool::may_be_here(m_program)) return;  // and nothing can have been made here
  Tool tool(call, m_program);
  for (const ContainerView& view : tool.list())
    if (!view.label(engine::label_key).empty()) call.emit(instance_of(view));
}

void AppleRuntime::settle(Tool& tool, const Ref& ref) {
  const auto until = std::chrono::steady_clock::now() + 5s;
  while (std::chrono::steady_clock::now() < until) {
    const std::optional<ContainerView> now = find_container(tool, ref);
    if (!now || now->word == ContainerView::Word::stopped) return;
    tool.call().wait_readable(-1, 100ms);
  }
}

template <class Session>
Exit AppleRuntime::in_session(Tool& tool, const Ref& ref, Session&& session) {
  const InstanceDirectory directory(ref);
  try {
    const std::unique_ptr<ExecRelay> relay = session_of(tool, ref);
    return session::exit_of(session(relay->client()));
  } catch (const session::Error& error) {
    if (error.code != KORTEX_E_NOT_FOUND && error.code != KORTEX_E_BACKEND && error.code != KORTEX_E_STATE) throw;
    // The holder is not there or vanished: the tool knows what became of its machine, and the record of the agent.
    if (directory.story().ended) settle(tool, ref);
    const Instance now = directory.instance(need_container(tool, ref));
    if (now.state == State::running) throw;
    if (error.code == KORTEX_E_NOT_FOUND || now.exit_code < 0) throw Error(KORTEX_E_STATE, "workspace " + quoted(ref) + " is stopped, not running", start_of(ref));
    return {KORTEX_END_STOPPED, now.exit_code};
  }
}

Exit AppleRuntime::exec(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.user.empty())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot run a program as user '" + execution.user + "': programs run as the agent's user");
  Tool tool = tool_of(call, ref);
  return in_session(tool, ref, [&](session::Client& client) {
    return client.run(session::program_of(execution), session::streams_of(call.raw(), execution.raw));
  });
}

Exit AppleRuntime::terminal(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.argv.empty()) return exec(call, ref, execution);
  Tool tool = tool_of(call, ref);
  const Exit end = in_session(tool, ref, [&](session::Client& client) { return client.attach(session::streams_of(call.raw(), execution.raw)); });
  if (end.how != KORTEX_END_DETACHED) settle(tool, ref);
  return end;
}

void AppleRuntime::logs(Call& call, const Ref& ref, const LogsRequest& request) {
  if (request.timestamps || request.since_ms != 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot tell when " + quoted(ref) + " wrote something: a terminal's output has no times");
  const InstanceDirectory directory(ref);
  const auto so_far = [&](const session::LogEnd& up_to) {
    session::read_log(directory.output(0), directory.output(1), request.tail, [&](const char* data, std::size_t size) {
      call.output(KORTEX_STREAM_STDOUT, {data, size});
      return 0;
    }, up_to);
  };
  const session::StatusFile story = directory.story();
  if (!request.follow || !story.started || story.ended) return so_far({});
  Tool tool = tool_of(call, ref);
  std::unique_ptr<ExecRelay> session;
  try {
    session = session_of(tool, ref);
  } catch (const session::Error& error) {
    if (error.code != KORTEX_E_NOT_FOUND) throw;
    return so_far({});  // the agent has ended, and all it wrote is in the log
  }
  session::follow_output(call, session->client(), so_far);
}

Exit AppleRuntime::wait(Call& call, const Ref& ref) {
  const InstanceDirectory directory(ref);
  Tool tool = tool_of(call, ref);
  if (const session::StatusFile story = directory.story(); story.started && !story.ended) {
    try {
      const Exit end = in_session(tool, ref, [&](session::Client& client) { return client.wait(call.raw()->cancel_fd); });
      settle(tool, ref);
      return end;
    } catch (const Error& error) {
      if (error.code != KORTEX_E_STATE) throw;
    }
  }
  // It does not run: what is known of its end is in the record.
  return {KORTEX_END_EXITED, directory.instance(need_container(tool, ref)).exit_code};
}

}  // namespace kortex::apple

KORTEX_RUNTIME(kortex::apple::AppleRuntime, "apple-container", KORTEX_RUNTIME_VERSION, "in a virtual machine, by Apple's container");
