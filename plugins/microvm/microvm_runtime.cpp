#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <set>

#include <kortex/roster.hpp>
#include <kortex/runtime.hpp>
#include <kortex/session_call.hpp>

#include "acceleration.hpp"
#include "files.hpp"
#include "launch.hpp"
#include "machine.hpp"
#include "processes.hpp"
#include "programs.hpp"
#include "qmp.hpp"
#include "session.hpp"
#include "share.hpp"

namespace kortex::microvm {

namespace {

using namespace std::chrono_literals;

constexpr std::chrono::milliseconds default_grace = 10s;
constexpr std::chrono::milliseconds boot_limit = 180s;  // an emulated machine on a busy one
constexpr std::int64_t default_memory = std::int64_t{2} << 30;
constexpr std::int64_t least_memory = std::int64_t{128} << 20;

// The guest's side of the network. passt translates, so these never leave this machine.
constexpr const char* guest_address = "10.0.2.15";
constexpr const char* guest_netmask = "255.255.255.0";
constexpr const char* guest_gateway = "10.0.2.2";
constexpr const char* guest_resolver = "10.0.2.3";

std::string machine_type(const Workspace& workspace) {
  const std::string given = workspace.options.get("machine", "auto");
  return given == "auto" ? default_machine() : given;
}

bool by_9p(const Workspace& workspace) { return workspace.options.get("share", "virtiofs") == "9p"; }

bool emulated(const Workspace& workspace) { return workspace.options.get("accel", "kvm") == "tcg"; }

unsigned cpus_of(const Workspace& workspace) {
  if (workspace.cpus_milli == 0) return std::max(1u, std::min(4u, std::thread::hardware_concurrency()));
  if (workspace.cpus_milli % 1000 != 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot give the agent a part of a processor: a virtual machine has whole ones",
                "\"cpus\": " + std::to_string(workspace.cpus_milli / 1000 + 1) + " in .kortex/workspace.json");
  return static_cast<unsigned>(workspace.cpus_milli / 1000);
}

unsigned sessions_of(const Workspace& workspace) { return static_cast<unsigned>(workspace.options.number("sessions").value_or(8)); }

std::int64_t memory_of(const Workspace& workspace) {
  const std::int64_t bytes = workspace.memory_bytes == 0 ? default_memory : workspace.memory_bytes;
  if (bytes < least_memory) throw Error(KORTEX_E_UNSUPPORTED, "cannot run the agent in less than 128 MiB of memory: the guest's kernel needs it");
  return bytes;
}

void require_acceleration(const Workspace& workspace) {
  if (emulated(workspace)) return;
  const std::string problem = kvm_problem();
  if (!problem.empty())
    throw Error(KORTEX_E_UNAVAILABLE, "cannot use KVM: " + problem,
                "--runtime-option accel=tcg (emulates the processor: computing takes 10 to 20 times as long, starting about 2 seconds)");
}

std::string host_name(const std::string& name) {
  std::string out;
  for (const char c : name.substr(0, 60)) out += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '-';
  return out.empty() || out.front() == '-' ? "kortex" + out : out;
}

void pair(std::string& settings, const std::string& key, const std::string& value) {
  settings += key;
  settings += '\0';
  settings += value;
  settings += '\0';
}

std::uint16_t free_port(const std::string& address) {
  const Fd probe(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in bound{};
  bound.sin_family = AF_INET;
  socklen_t size = sizeof bound;
  if (!probe || ::inet_pton(AF_INET, address.c_str(), &bound.sin_addr) != 1 || ::bind(probe.get(), reinterpret_cast<sockaddr*>(&bound), size) != 0 ||
      ::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&bound), &size) != 0)
    throw Error(KORTEX_E_FAILED, "cannot find a free port on " + quoted(address));
  return ntohs(bound.sin_port);
}

std::string machine_name(const std::string& key) { return "kortex-" + key; }

Error not_running(const Ref& ref, const std::string& what) {
  return {KORTEX_E_STATE, "cannot " + what + " " + quoted(ref.name()) + ": it is not running", "kortex-cli start " + std::string(ref.name())};
}

}  // namespace

/// Runs the agent in a virtual machine of its own, on QEMU.
class MicrovmRuntime : public Runtime, public Execs, public Terminals, public Logs, public Waits, public Lists {
 public:
  static constexpr const char* license = "Apache-2.0";
  static std::vector<Option> options() {
    return {{"accel", "kvm: this machine's processor runs the guest; tcg: it is emulated, which is slow", KORTEX_OPT_ENUM, 0, "kvm", {"kvm", "tcg"}},
            {"machine", "the virtual machine; auto: microvm, on ARM virt", KORTEX_OPT_ENUM, 0, "auto", {"auto", "microvm", "q35", "virt"}},
            {"share", "how files are shared; virtiofs: by virtiofsd; 9p: by QEMU itself, slower, and for kernels that have 9p", KORTEX_OPT_ENUM, 0, "virtiofs", {"virtiofs", "9p"}},
            {"root", "host: this machine's programs, read-only; or a directory, tar archive, ext4, erofs or squashfs image", KORTEX_OPT_STRING, 0, "host"},
            {"disk", "size of the writable file system over the root, which also holds the agent's home", KORTEX_OPT_SIZE, 0, "8GiB", {}, std::int64_t{64} << 20, std::int64_t{1} << 44},
            {"sessions", "how many programs and terminals can be connected at once; each takes 4 MiB of the guest's memory once it was used", KORTEX_OPT_INT, 0, "8", {}, 1, most_sessions},
            {"kernel", "the guest's kernel; without it this machine's own, else the newest in /boot", KORTEX_OPT_PATH},
            {"modules", "the kernel's modules; without it /lib/modules/ and the kernel's release", KORTEX_OPT_PATH}};
  }

  explicit MicrovmRuntime(const Open& open) : m_host(open.host), m_cache(open.host.cache_dir()), m_roster(open.host.state_dir()) {}

  Probe probe(Call& call) override;
  Guarantees guarantees(Call& call, const Workspace& workspace) override;
  Instance create(Call& call, const Ref& ref, const Workspace& workspace) override;
  Instance start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) override;
  Instance stop(Call& call, const Ref& ref, const StopMode& mode) override;
  void remove(Call& call, const Ref& ref, RemoveMode mode) override;
  void list(Call& call) override;
  void inspect(Call& call, const std::vector<Ref>& refs) override {
    for (const Ref& ref : refs) call.emit(ref, InstanceFiles(ref).observe());
  }
  Exit exec(Call& call, const Ref& ref, const Execution& execution) override { return run(call, ref, execution); }
  Exit terminal(Call& call, const Ref& ref, const Execution& execution) override;
  void logs(Call& call, const Ref& ref, const LogsRequest& request) override;
  Exit wait(Call& call, const Ref& ref) override;

 private:
  void require_programs(const Workspace* workspace) const;
  [[nodiscard]] HostPlaces places(const std::string& state_dir) const { return {state_dir, m_host.state_dir()}; }
  [[nodiscard]] Machine machine_for(Call&, const Ref&, const Workspace&, const InstanceFiles&, const Root&) const;
  [[nodiscard]] static std::vector<std::string> network_command(const Workspace&, const InstanceFiles&);
  [[nodiscard]] static std::string settings_of(const Ref&, const Workspace&, const Root&, const Owner&, const std::vector<Shared>&);
  [[nodiscard]] Root root_of(const Call&, const Workspace&, const InstanceFiles&) const;
  void make_disk(Call&, const InstanceFiles&, const Workspace&) const;
  void boot(Call&, const Ref&, const Workspace&, const InstanceFiles&, const std::vector<std::string>& env);
  static Exit run(Call& call, const Ref& ref, const Execution& execution);
  static bool has_agent(const InstanceFiles& files);
  static void settle(Call& call, const InstanceFiles& files);
  static Exit told_end(Call& call, const InstanceFiles& files, const session::Error& error);
  static void end(Call& call, const Ref& ref, const InstanceFiles& files, std::chrono::milliseconds grace);

  Host m_host;
  Cache m_cache;
  Roster m_roster;
};

void MicrovmRuntime::require_programs(const Workspace* workspace) const {
  (void)need_program(qemu_name(), qemu_package(), "run a virtual machine");
  (void)need_program("bwrap", "bubblewrap", "share files with a virtual machine");
  (void)need_program("mkfs.ext4", "e2fsprogs", "make a virtual machine's disk");
  if (workspace != nullptr && !by_9p(*workspace) && find_virtiofsd().path.empty())
    throw Error(KORTEX_E_UNAVAILABLE, "cannot share files with a virtual machine: 'virtiofsd' is not installed",
                "--runtime-option share=9p (slower, and for kernels that have 9p), or apt-get install virtiofsd (in Debian 12: qemu-system-common)");
  if (workspace != nullptr && !workspace->network_denied)
    (void)need_program("passt", "passt (or \"network\": {\"mode\": \"deny\"} in .kortex/workspace.json)", "give a virtual machine a network");
  if (m_host.session_program()[0] == '\0')
    throw Error(KORTEX_E_UNAVAILABLE, "cannot run the agent: the session holder 'kortex-session' is not installed");
}

Probe MicrovmRuntime::probe(Call& call) {
  require_programs(nullptr);
  Process version;
  version.argv = {find_program(qemu_name()), "--version"};
  const std::string said = call.run(version).out;
  Probe out;
  out.backend = said.substr(0, said.find('\n'));
  const Kernel kernel = find_kernel({}, {});
  const std::string problem = kvm_problem();
  out.facts = {{"kvm", problem.empty() ? "works" : "does not work: " + problem},
               {"kernel", kernel.path},
               {"virtiofsd", find_virtiofsd().path.empty() ? "share=9p only: virtiofsd is not installed" : find_virtiofsd().path},
               {"network", find_program("passt").empty() ? "deny only: passt is not installed" : "passt"}};
  return out;
}

Guarantees MicrovmRuntime::guarantees(Call&, const Workspace& workspace) {
  require_programs(&workspace);
  check_modules(find_kernel(workspace.options.get("kernel"), workspace.options.get("modules")), machine_type(workspace) == "microvm" ? Bus::mmio : Bus::pci,
                {by_9p(workspace) ? "9p" : "virtiofs"});
  if (const Owner owner = owner_of(workspace); by_9p(workspace) && owner.uid != ::geteuid())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot share the files of user " + quoted(owner.name) + " by 9p: QEMU would write them with root's rights",
                "--runtime-option share=virtiofs");
  check_root(workspace.options.get("root", "host"));
  (void)cpus_of(workspace);
  (void)memory_of(workspace);
  if (workspace.network_denied && !workspace.ports.empty())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot forward port " + std::to_string(workspace.ports.front().target) + ": the machine has no network");
  const bool arm_machine = machine_type(workspace) == "virt", arm = default_machine() == "virt";
  if (arm_machine != arm)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot use machine " + quoted(machine_type(workspace)) + ": it is not of this processor's kind");
  const std::vector<Shared> folders = shared_folders(workspace, places(""));
  require_acceleration(workspace);
  Guarantees given;
  given.isolation = Isolation::microvm;
  given.enforces = KORTEX_GUARANTEE_NETWORK_ALLOW | KORTEX_GUARANTEE_NETWORK_DENY | KORTEX_GUARANTEE_HOST_LOOPBACK | KORTEX_GUARANTEE_MOUNTS |
                   KORTEX_GUARANTEE_READ_ONLY_MOUNTS | KORTEX_GUARANTEE_MEMORY | KORTEX_GUARANTEE_TTY | KORTEX_GUARANTEE_DETACH;
  // Whole processors only, so it is claimed where that is what was asked for.
  if (workspace.cpus_milli != 0) given.enforces |= KORTEX_GUARANTEE_CPUS;
  if (!workspace.network_denied) given.enforces |= KORTEX_GUARANTEE_PORTS;
  const std::string root = workspace.options.get("root", "host");
  Root seen;
  if (root != "host") seen = {is_directory(root) ? Root::Kind::directory : Root::Kind::image, root, {}};
  given.exposure = exposure(workspace, folders, seen, places(""));
  return given;
}

void MicrovmRuntime::make_disk(Call& call, const InstanceFiles& files, const Workspace& workspace) const {
  const std::string disk = files.path("disk.img"), fresh = disk + ".new";
  if (exists(disk)) return;
  const std::int64_t size = workspace.options.number("disk").value_or(std::int64_t{8} << 30);
  {
    const Fd file(::open(fresh.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    if (!file || ::ftruncate(file.get(), size) != 0) fail_system("cannot make '" + fresh + "'");
  }
  run_into(call, "make the disk", {find_program("mkfs.ext4"), "-q", "-F", "-m", "0", "-O", "^metadata_csum", "-E",
                                   "lazy_itable_init=1,nodiscard,root_owner=0:0", fresh});
  if (::rename(fresh.c_str(), disk.c_str()) != 0) fail_system("cannot make '" + disk + "'");
}

Instance MicrovmRuntime::create(Call& call, const Ref& ref, const Workspace& workspace) {
  const InstanceFiles files(ref);
  if (!files.created()) {
    require_programs(&workspace);
    (void)shared_folders(workspace, places(files.directory()));
    const Root root = find_root(call, m_cache, workspace.options.get("root", "host"));
    (void)machine_for(call, ref, workspace, files, root);
    make_disk(call, files, workspace);
    m_roster.add(ref, workspace.labels);
    files.write_created();
  }
  Instance made = files.observe();
  made.id = ref.key();
  return made;
}

/// What was made of an archive stays the workspace's root whatever becomes of the archive: what the agent has written lies over it.
Root MicrovmRuntime::root_of(const Call& call, const Workspace& workspace, const InstanceFiles& files) const {
  if (exists(files.path("root"))) return {Root::Kind::image, files.path("root"), "squashfs"};
  return find_root(call, m_cache, workspace.options.get("root", "host"));
}

Machine MicrovmRuntime::machine_for(Call& call, const Ref& ref, const Workspace& workspace, const InstanceFiles& files, const Root& root) const {
  Machine machine;
  machine.type = machine_type(workspace);
  machine.emulated = emulated(workspace);
  machine.name = machine_name(ref.key());
  machine.cpus = cpus_of(workspace);
  machine.memory_bytes = memory_of(workspace);
  machine.disk = files.path("disk.img");
  machine.root = root;
  machine.by_9p = by_9p(workspace);
  machine.network = !workspace.network_denied;
  machine.sessions = sessions_of(workspace);
  if (machine.emulated) machine.counter_khz = counter_khz(m_host);
  const Kernel kernel = find_kernel(workspace.options.get("kernel"), workspace.options.get("modules"));
  machine.kernel = bootable(call, m_cache, kernel);
  std::set<std::string> groups{by_9p(workspace) ? "9p" : "virtiofs"};
  if (machine.network) groups.insert("net");
  if (root.kind == Root::Kind::image) groups.insert(root.file_system);
  machine.initramfs = initramfs(call, m_cache, kernel, bus_of(machine), groups, m_host.session_program());
  m_cache.use(machine.kernel, files.path("kernel"));
  m_cache.use(machine.initramfs, files.path("initramfs"));
  if (root.kind == Root::Kind::image && root.path != files.path("root")) m_cache.use(root.path, files.path("root"));
  return machine;
}

std::vector<std::string> MicrovmRuntime::network_command(const Workspace& workspace, const InstanceFiles& files) {
  ::unlink(files.path("forwards").c_str());
  if (workspace.network_denied) return {};
  // No gateway that means this machine: its loopback would be behind it.
  std::vector<std::string> command{find_program("passt"), "--foreground", "--quiet", "--stderr", "--fd", std::to_string(service_descriptor), "--ipv4-only",
                                   "--address", guest_address, "--netmask", guest_netmask, "--gateway", guest_gateway, "--no-map-gw",
                                   "--dns-forward", guest_resolver, "--udp-ports", "none"};
  std::string forwards;
  for (const Port& port : workspace.ports) {
    const std::uint16_t chosen = port.host_port != 0 ? port.host_port : free_port(port.bind);
    command.insert(command.end(), {"--tcp-ports", port.bind + "/" + std::to_string(chosen) + ":" + std::to_string(port.target)});
    forwards += std::to_string(port.target) + " " + std::to_string(chosen) + " " + port.bind + "\n";
  }
  if (workspace.ports.empty()) command.insert(command.end(), {"--tcp-ports", "none"});
  replace_file(files.path("forwards"), forwards);
  return command;
}

/// What the guest is told, for guest/settings.c.
std::string MicrovmRuntime::settings_of(const Ref& ref, const Workspace& workspace, const Root& root, const Owner& owner, const std::vector<Shared>& folders) {
  std::string settings;
  pair(settings, "uid", std::to_string(owner.uid));
  pair(settings, "gid", std::to_string(owner.gid));
  pair(settings, "user", owner.name);
  pair(settings, "home", owner.home);
  pair(settings, "hostname", host_name(ref.name()));
  pair(settings, "share", by_9p(workspace) ? "9p" : "virtiofs");
  pair(settings, "root", root.kind == Root::Kind::image ? root.file_system : "share");
  // Looked for while the guest computes.
  if (root.kind != Root::Kind::image && !workspace.agent_argv.empty() && workspace.agent_argv.front().front() == '/')
    pair(settings, "prefetch", workspace.agent_argv.front());
  pair(settings, "ports", std::to_string(sessions_of(workspace) + 1));
  if (!workspace.network_denied) {
    pair(settings, "address", guest_address);
    pair(settings, "netmask", guest_netmask);
    pair(settings, "gateway", guest_gateway);
    pair(settings, "resolver", guest_resolver);
  }
  for (const Shared& shared : folders) {
    pair(settings, shared.read_only ? "bind-ro" : "bind", shared.name);
    pair(settings, "at", shared.target);
  }
  return settings;
}

void MicrovmRuntime::boot(Call& call, const Ref& ref, const Workspace& workspace, const InstanceFiles& files, const std::vector<std::string>& env) {
  const Owner owner = owner_of(workspace);
  const Root root = root_of(call, workspace, files);
  const std::vector<Shared> folders = shared_folders(workspace, places(files.directory()));
  Fd lock = files.take_lock();
  if (!lock) throw Error(KORTEX_E_BUSY, "cannot start " + quoted(ref.name()) + ": somebody else is starting it");
  // Of the last run nothing must be taken for this one's.
  for (const char* name : {"session.status", "session.output.0", "session.output.1", "console.log"}) {
    const std::string path = files.path(name);
    const Fd file(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!file || (::geteuid() == 0 && ::fchown(file.get(), owner.uid, owner.gid) != 0)) fail_system("cannot make '" + path + "'");
  }
  make_disk(call, files, workspace);
  session::Program agent;
  agent.argv = workspace.agent_argv;
  agent.env = agent_environment(ref, workspace, owner, env);
  agent.cwd = workspace.target_path;
  agent.tty = true;
  replace_file(files.path("boot"), boot_id());
  call.progress("boot", "starting the virtual machine");
  Launch what(files, std::move(lock));
  if (!by_9p(workspace)) what.start_share(share_command(folders, root, owner, places(files.directory()), find_virtiofsd(), service_descriptor));
  if (const std::vector<std::string> network = network_command(workspace, files); !network.empty()) what.start_network(network);
  const Machine machine = machine_for(call, ref, workspace, files, root);
  std::vector<std::string> qemu = qemu_command(find_program(qemu_name()), machine);
  if (machine.by_9p) {
    std::vector<std::string> read{machine.kernel};
    if (root.kind == Root::Kind::image) read.push_back(root.path);
    // QEMU cannot make it, in a directory that it does not see.
    replace_file(files.path("qemu.pid"), "");
    const std::vector<std::string> outer = nine_p_command(folders, root, owner, places(files.directory()), read, {machine.disk, files.path("qemu.pid")});
    qemu.insert(qemu.begin(), outer.begin(), outer.end());
  }
  what.start_machine(qemu,
                     with_files(machine.initramfs, {{"settings", settings_of(ref, workspace, root, owner, folders)}, {"agent", session::start_message(agent)}}),
                     machine.sessions);
  try {
    files.wait_until_started(call, boot_limit);
  } catch (const session::Error&) {
    what.require_services();
    throw;
  }
  what.require_services();
}

Instance MicrovmRuntime::start(Call& call, const Ref& ref, const Workspace& workspace, const std::vector<std::string>& env) {
  const InstanceFiles files(ref);
  if (!files.created()) throw Error(KORTEX_E_NOT_FOUND, "cannot start " + quoted(ref.name()) + ": its instance is gone");
  if (has_agent(files)) {
    if (is_paused(files)) (void)qmp(files, "cont", 10s);
    return files.observe();
  }
  // Someone died while starting it, or the machine lingers over an agent that has ended.
  end(call, ref, files, 0ms);
  require_programs(&workspace);
  require_acceleration(workspace);
  try {
    boot(call, ref, workspace, files, env);
  } catch (const session::Error& error) {
    if (error.code == KORTEX_E_CANCELLED) call.throw_if_cancelled();
    files.kill_all();
    ::unlink(files.path("session.status").c_str());  // a start that failed leaves no story of a start
    std::string reason = error.code == KORTEX_E_TIMEOUT ? "the guest did not answer in " + std::to_string(boot_limit.count() / 1000) + " seconds" : "it ended while starting";
    std::string detail;
    for (const char* log : {"qemu.log", "share.log", "network.log"}) detail += contents(files.path(log), 4096);
    if (const std::string words = files.last_words(), agent = "cannot start the agent: "; words.compare(0, agent.size(), agent) == 0)
      throw Error(KORTEX_E_FAILED, "cannot start agent " + quoted(workspace.agent_name) + ": " + words.substr(agent.size()));
    else if (!words.empty())
      reason = words;
    else if (!detail.empty())
      reason = detail.substr(0, detail.find('\n'));
    throw Error(KORTEX_E_BACKEND, "cannot start the virtual machine: " + reason, {}, detail + contents(files.path("console.log"), 65536));
  } catch (...) {
    files.kill_all();
    ::unlink(files.path("session.status").c_str());
    throw;
  }
  return files.observe(false);
}

bool MicrovmRuntime::has_agent(const InstanceFiles& files) {
  const bool lives = files.alive();
  const session::StatusFile story = files.story();
  return lives && story.started && !story.ended;
}

void MicrovmRuntime::end(Call& call, const Ref& ref, const InstanceFiles& files, std::chrono::milliseconds grace) {
  const bool lived = files.alive();
  if (lived) {
    bool asked = false;
    try {
      if (is_paused(files)) (void)qmp(files, "cont", 3s);
      Session session(call, files, PortUse::control, 5s);
      const TimeLimit enough(call.raw()->cancel_fd, grace + 8s);
      asked = true;
      session.client().stop(static_cast<int>(grace.count()), enough.fd());
    } catch (const session::Error& error) {
      // The holder is in the agent's reach: it is asked, and not relied on.
      call.throw_if_cancelled();
      if (error.code == KORTEX_E_CANCELLED || error.code == KORTEX_E_TIMEOUT) asked = false;
    }
    // The guest writes its disk down and goes. What it has given to shared folders is there already. The guest's first
    // program, which the agent cannot halt, does so without its holder as well.
    bool ended = asked && files.wait_until_dead(call, 8s);
    if (!ended)
      if (const Fd told = ask_to_power_down(files)) ended = files.wait_until_dead(call, 8s);
    if (!ended) {
      // Not system_powerdown: it would be one more message to that first program, which reads no button of ACPI and did not answer.
      (void)qmp(files, "quit", 3s);
      if (!files.wait_until_dead(call, 3s)) files.kill_all();
    }
    if (!files.wait_until_dead(call, 5s)) throw Error(KORTEX_E_TIMEOUT, "cannot stop " + quoted(ref.name()) + ": its processes cannot be killed");
  }
  const session::StatusFile story = files.story();
  if (lived && story.started && !story.ended) files.write_end(128 + 9);
  if (lived && !story.started) ::unlink(files.path("session.status").c_str());
  for (unsigned session = 1; session <= most_sessions; ++session)
    for (const std::string& name : {session_socket(session), plugged_mark(session)}) ::unlink(files.path(name).c_str());
  for (const char* name : {control_socket, "qmp.sock", "share.sock", "qemu.pid"}) ::unlink(files.path(name).c_str());
}

Instance MicrovmRuntime::stop(Call& call, const Ref& ref, const StopMode& mode) {
  const InstanceFiles files(ref);
  if (files.created()) end(call, ref, files, mode.kill ? 0ms : mode.grace.value_or(default_grace));
  return files.observe();
}

void MicrovmRuntime::remove(Call& call, const Ref& ref, RemoveMode mode) {
  const InstanceFiles files(ref);
  const bool listed = m_roster.has(ref.key());
  if (!listed && !exists(files.directory())) return;
  const bool lost = listed && !files.created();  // its directory went before it did
  if ((has_agent(files) || (lost && find_machine(machine_name(ref.key())) != 0)) && mode == RemoveMode::stopped_only)
    throw Error(KORTEX_E_STATE, "cannot remove " + quoted(ref.name()) + ": it is running", "kortex-cli stop " + std::string(ref.name()));
  end(call, ref, files, 0ms);
  if (lost) kill_machine(machine_name(ref.key()));  // and with it what serves it
  files.clear();
  m_roster.remove(ref.key());
  m_cache.prune();
}

void MicrovmRuntime::list(Call& call) {
  for (const Roster::Entry& entry : m_roster.all()) {
    Instance instance = InstanceFiles(entry.directory).observe(false);
    if (instance.state == State::gone) {
      instance.pid = find_machine(machine_name(entry.key));
      instance.state = instance.pid != 0 ? State::running : State::stopped;
    }
    if (instance.created_ms == 0) instance.created_ms = entry.created_ms;
    instance.key = instance.id = entry.key;
    instance.labels = entry.labels;
    call.emit(instance);
  }
}

/// The holder tells that the agent has ended before it has ended the rest, written that down, and ended itself and the machine; who asks
/// next must not hear "running". After our session: the guest waits for its clients to have their last bytes.
void MicrovmRuntime::settle(Call& call, const InstanceFiles& files) { (void)files.wait_until_dead(call, 10s); }

/// Within a `catch`: the agent may have ended between the look at its story and the connection, and the machine with it.
Exit MicrovmRuntime::told_end(Call& call, const InstanceFiles& files, const session::Error& error) {
  if (error.code != KORTEX_E_NOT_FOUND && error.code != KORTEX_E_BACKEND) throw;
  const bool dead = files.wait_until_dead(call, 5s);
  const session::StatusFile story = files.story();
  if (dead && story.ended) return {KORTEX_END_EXITED, story.exit_code};
  if (!dead) throw;
  const std::string words = files.last_words();
  throw Error(KORTEX_E_BACKEND, "the virtual machine ended: " + (words.empty() ? std::string("QEMU was killed") : words));
}

Exit MicrovmRuntime::terminal(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.argv.empty()) return run(call, ref, execution);
  const InstanceFiles files(ref);
  if (!has_agent(files)) throw not_running(ref, "enter");
  try {
    session::End end;
    {
      Session session(call, files);
      end = session.client().attach(session::streams_of(call.raw(), execution.raw));
    }
    if (end.how != KORTEX_END_DETACHED) settle(call, files);
    return session::exit_of(end);
  } catch (const session::Error& error) {
    return told_end(call, files, error);
  }
}

Exit MicrovmRuntime::run(Call& call, const Ref& ref, const Execution& execution) {
  if (!execution.user.empty())
    throw Error(KORTEX_E_UNSUPPORTED, "cannot run a program as " + quoted(execution.user) + ": programs run as the agent's user");
  const InstanceFiles files(ref);
  if (!has_agent(files)) throw not_running(ref, "run a program in");
  try {
    Session session(call, files);
    return session::exit_of(session.client().run(session::program_of(execution), session::streams_of(call.raw(), execution.raw)));
  } catch (const session::Error& error) {
    const bool lost = error.code == KORTEX_E_BACKEND || error.code == KORTEX_E_NOT_FOUND;
    if (lost && files.wait_until_dead(call, 5s)) throw not_running(ref, "run a program in");
    throw;
  }
}

Exit MicrovmRuntime::wait(Call& call, const Ref& ref) {
  const InstanceFiles files(ref);
  if (!has_agent(files)) return {KORTEX_END_EXITED, files.story().exit_code};
  try {
    const session::End end = Session(call, files).client().wait(call.raw()->cancel_fd);
    settle(call, files);
    return session::exit_of(end);
  } catch (const session::Error& error) {
    return told_end(call, files, error);
  }
}

void MicrovmRuntime::logs(Call& call, const Ref& ref, const LogsRequest& request) {
  if (request.timestamps || request.since_ms != 0)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot tell when " + quoted(ref.name()) + " wrote something: a terminal's output has no times");
  const InstanceFiles files(ref);
  const auto hand_over = [&call](std::string_view bytes) { call.output(KORTEX_STREAM_STDOUT, bytes); };
  const auto all_there_is = [&] {
    files.read_output(request.tail, [&](const char* data, std::size_t size) {
      hand_over({data, size});
      return 0;
    });
  };
  if (!request.follow || !has_agent(files)) return all_there_is();
  std::optional<Session> session;
  try {
    session.emplace(call, files);
  } catch (const session::Error& error) {
    if (error.code != KORTEX_E_NOT_FOUND && error.code != KORTEX_E_BACKEND) throw;
    return all_there_is();  // the agent has ended meanwhile, and the machine with it
  }
  follow(call, files, session->client(), request.tail, hand_over);
}

}  // namespace kortex::microvm

KORTEX_RUNTIME_MORE(kortex::microvm::MicrovmRuntime, "microvm", KORTEX_RUNTIME_VERSION, "runs the agent in a virtual machine of its own, on QEMU",
                    R"(,"options":{"accel":["kvm","tcg"],"machine":["auto","microvm","q35","virt"],"share":["virtiofs","9p"],"root":["host"],"disk":[],"sessions":[],)"
                    R"("kernel":[],"modules":[]})");
