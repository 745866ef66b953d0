// A runtime that runs nothing, in a backend made of symbolic links (entries.hpp): for tests, demonstrations,
// and as a plugin to copy. It keeps its instances across processes, tells their live state, and misbehaves on
// demand (faults.hpp). Its programs run on the host as the user, whatever it claims to enforce.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <kortex/runtime.hpp>

#include "entries.hpp"
#include "faults.hpp"

namespace fake {
namespace {

constexpr std::array<std::pair<const char*, std::uint64_t>, 14> guarantee_names{{
    {"network-allow", KORTEX_GUARANTEE_NETWORK_ALLOW},
    {"network-deny", KORTEX_GUARANTEE_NETWORK_DENY},
    {"network-deny-hosts", KORTEX_GUARANTEE_NETWORK_DENY_HOSTS},
    {"host-loopback", KORTEX_GUARANTEE_HOST_LOOPBACK},
    {"mounts", KORTEX_GUARANTEE_MOUNTS},
    {"read-only-mounts", KORTEX_GUARANTEE_READ_ONLY_MOUNTS},
    {"ports", KORTEX_GUARANTEE_PORTS},
    {"cpus", KORTEX_GUARANTEE_CPUS},
    {"memory", KORTEX_GUARANTEE_MEMORY},
    {"processes", KORTEX_GUARANTEE_PROCESSES},
    {"image", KORTEX_GUARANTEE_IMAGE},
    {"build", KORTEX_GUARANTEE_BUILD},
    {"tty", KORTEX_GUARANTEE_TTY},
    {"detach", KORTEX_GUARANTEE_DETACH},
}};

const std::string label_prefix = "label:";

std::uint64_t enforced(const std::string& names) {
  std::uint64_t bits = 0;
  for (std::size_t at = 0; at <= names.size();) {
    const std::size_t comma = std::min(names.find(',', at), names.size());
    const std::string name = names.substr(at, comma - at);
    at = comma + 1;
    bool known = name == "none" || name.empty();
    for (const auto& [guarantee, bit] : guarantee_names) {
      if (name != guarantee && name != "all") continue;
      bits |= bit;
      known = true;
    }
    if (!known)
      throw kortex::Error(KORTEX_E_INVALID, "option 'enforces' names no guarantee: '" + name + "'",
                          "use all, none, or names such as network-deny,ports");
  }
  return bits;
}

kortex::Instance instance_of(const Entry& entry) {
  kortex::Instance instance;
  instance.state = entry.state;
  instance.created_ms = entry.created_ms;
  instance.started_ms = entry.started_ms;
  instance.finished_ms = entry.finished_ms;
  instance.exit_code = entry.exit_code;
  if (entry.state == kortex::State::running) instance.forwards = entry.forwards;
  return instance;
}

void write_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) throw std::system_error(errno, std::generic_category(), "cannot write to the terminal");
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
}

class Fake : public kortex::Runtime,
             public kortex::Execs,
             public kortex::Terminals,
             public kortex::Logs,
             public kortex::Waits,
             public kortex::Lists {
 public:
  static constexpr const char* license = "Apache-2.0";

  static std::vector<kortex::Option> options() {
    std::vector<kortex::Option> out{
        {"isolation", "the isolation it claims", KORTEX_OPT_ENUM, 0, "microvm", {"none", "process", "container", "microvm"}},
        {"enforces", "the guarantees it claims: all, none, or names with commas", KORTEX_OPT_STRING, 0, "all"}};
    add_fault_options(out);
    return out;
  }

  explicit Fake(const kortex::Open& open) : m_entries(open.host.state_dir()) {}

  kortex::Probe probe(kortex::Call&) override {
    require_backend();
    return {"symbolic links", {}};
  }

  kortex::Guarantees guarantees(kortex::Call& call, const kortex::Workspace& workspace) override {
    Faults(workspace.options).before(call, "guarantees", workspace.agent_name);
    kortex::Guarantees out;
    const std::string level = workspace.options.get("isolation", "microvm");
    out.isolation = level == "none"        ? kortex::Isolation::none
                    : level == "process"   ? kortex::Isolation::process
                    : level == "container" ? kortex::Isolation::container
                                           : kortex::Isolation::microvm;
    out.enforces = enforced(workspace.options.get("enforces", "all"));
    out.exposure = {"everything: this runtime is for tests, and what it claims is not true"};
    return out;
  }

  kortex::Instance create(kortex::Call& call, const kortex::Ref& ref, const kortex::Workspace& workspace) override {
    require_backend();
    const Faults faults(workspace.options);
    faults.before(call, "create", ref.name());
    std::optional<Entry> entry = m_entries.read(ref.key());
    if (!entry) {
      kortex::KeyValues made = faults.kept();
      made.emplace_back("source-path", workspace.source_path);
      for (const auto& [label, value] : workspace.labels) made.emplace_back(label_prefix + label, value);
      m_entries.write_made(ref.key(), made);
      entry.emplace();
      entry->state = kortex::State::stopped;
      entry->created_ms = now_ms();
      entry->faulty = faults.any();
      for (const kortex::Port& port : workspace.ports) {
        const int chosen = port.host_port != 0 ? port.host_port : 32768 + port.target % 28000;
        entry->forwards.push_back({port.target, static_cast<std::uint16_t>(chosen), port.bind});
      }
      m_entries.write(ref.key(), *entry);
    }
    faults.after(call, "create", ref.name());
    return instance_of(*entry);
  }

  kortex::Instance start(kortex::Call& call, const kortex::Ref& ref, const kortex::Workspace& workspace,
                         const std::vector<std::string>&) override {
    Entry entry = existing(ref, "start");
    const Faults faults = faults_of(ref, entry);
    faults.before(call, "start", ref.name());
    if (entry.state != kortex::State::running) {
      entry.state = kortex::State::running;
      entry.started_ms = now_ms();
      entry.finished_ms = 0;
      entry.exit_code = -1;
      m_entries.log(ref.key(), "started agent '" + workspace.agent_name + "'");
      m_entries.write(ref.key(), entry);
    }
    faults.after(call, "start", ref.name());
    kortex::Instance instance = instance_of(entry);
    instance.details_json = kortex::json::Object{{"agent", workspace.agent_name}}.text();
    return instance;
  }

  kortex::Instance stop(kortex::Call& call, const kortex::Ref& ref, const kortex::StopMode& mode) override {
    Entry entry = existing(ref, "stop");
    const Faults faults = faults_of(ref, entry);
    faults.before(call, "stop", ref.name());
    if (entry.state == kortex::State::running) {
      entry.state = kortex::State::stopped;
      entry.finished_ms = now_ms();
      entry.exit_code = mode.kill ? 128 + 9 : 128 + 15;
      m_entries.log(ref.key(), mode.kill ? "killed" : "stopped");
      m_entries.write(ref.key(), entry);
    }
    faults.after(call, "stop", ref.name());
    return instance_of(entry);
  }

  void remove(kortex::Call& call, const kortex::Ref& ref, kortex::RemoveMode mode) override {
    require_backend();
    const std::optional<Entry> entry = m_entries.read(ref.key());
    if (!entry) return m_entries.remove(ref.key());  // a killed create() may have left something
    const Faults faults = faults_of(ref, *entry);
    faults.before(call, "remove", ref.name());
    if (entry->state == kortex::State::running && mode == kortex::RemoveMode::stopped_only)
      throw kortex::Error(KORTEX_E_STATE, std::string("cannot remove '") + ref.name() + "': it is running");
    m_entries.remove(ref.key());
    faults.after(call, "remove", ref.name());
  }

  void inspect(kortex::Call& call, const std::vector<kortex::Ref>& refs) override {
    require_backend();
    for (const kortex::Ref& ref : refs) {
      const std::optional<Entry> entry = m_entries.read(ref.key());
      if (entry && entry->faulty) faults_of(ref, *entry).before(call, "inspect", ref.name());
      kortex::Instance instance;
      if (entry) instance = instance_of(*entry);
      if (!entry) instance.state = kortex::State::gone;
      call.emit(ref, instance);
    }
  }

  void list(kortex::Call& call) override {
    require_backend();
    for (const std::string& key : m_entries.keys()) {
      const std::optional<Entry> entry = m_entries.read(key.c_str());
      if (!entry) continue;
      kortex::Instance instance = instance_of(*entry);
      instance.key = key;
      for (const auto& [name, value] : m_entries.made(key.c_str()))
        if (name.compare(0, label_prefix.size(), label_prefix) == 0) instance.labels.emplace_back(name.substr(label_prefix.size()), value);
      call.emit(instance);
    }
  }

  kortex::Exit exec(kortex::Call& call, const kortex::Ref& ref, const kortex::Execution& execution) override {
    const Faults faults = faults_of(ref, running(ref, "exec"));
    faults.before(call, "exec", ref.name());
    const kortex::Exit exit = run(call, ref, execution);
    faults.after(call, "exec", ref.name());
    return exit;
  }

  kortex::Exit terminal(kortex::Call& call, const kortex::Ref& ref, const kortex::Execution& execution) override {
    const Faults faults = faults_of(ref, running(ref, "terminal"));
    faults.before(call, "terminal", ref.name());
    const kortex::Exit exit = execution.argv.empty() ? converse(call, ref, execution) : run(call, ref, execution);
    faults.after(call, "terminal", ref.name());
    return exit;
  }

  void logs(kortex::Call& call, const kortex::Ref& ref, const kortex::LogsRequest& request) override {
    faults_of(ref, existing(ref, "show the logs of")).before(call, "logs", ref.name());
    const kortex::Fd watch = request.follow ? m_entries.watch() : kortex::Fd();
    const kortex::Fd file = m_entries.open_log(ref.key());
    std::vector<std::string> lines = new_lines(file.get());
    if (request.tail >= 0 && lines.size() > static_cast<std::size_t>(request.tail))
      lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(request.tail));
    for (;;) {
      for (const std::string& line : lines) {
        if (std::strtoll(line.c_str(), nullptr, 10) < request.since_ms) continue;
        call.output(KORTEX_STREAM_STDOUT,
                    request.timestamps ? std::string_view(line) : std::string_view(line).substr(line.find(' ') + 1));
      }
      const std::optional<Entry> entry = m_entries.read(ref.key());
      const bool more = request.follow && entry && entry->state == kortex::State::running;
      lines = new_lines(file.get());
      if (!more && lines.empty()) return;
      if (lines.empty()) wait_for_change(call, watch.get());
      if (lines.empty()) lines = new_lines(file.get());
    }
  }

  kortex::Exit wait(kortex::Call& call, const kortex::Ref& ref) override {
    faults_of(ref, existing(ref, "wait for")).before(call, "wait", ref.name());
    const kortex::Fd watch = m_entries.watch();
    for (;;) {
      const Entry entry = existing(ref, "wait for");
      if (entry.state != kortex::State::running) return {KORTEX_END_EXITED, entry.exit_code};
      wait_for_change(call, watch.get());
    }
  }

 private:
  void require_backend() const {
    if (const std::optional<std::string> reason = m_entries.down())
      throw kortex::Error(KORTEX_E_UNAVAILABLE, "cannot reach the fake backend: " + *reason, "remove the file 'down' in its directory");
  }

  Entry existing(const kortex::Ref& ref, const std::string& what) {
    require_backend();
    std::optional<Entry> entry = m_entries.read(ref.key());
    if (!entry) throw kortex::Error(KORTEX_E_NOT_FOUND, "cannot " + what + " '" + ref.name() + "': the instance is gone");
    return *std::move(entry);
  }

  Entry running(const kortex::Ref& ref, const std::string& what) {
    Entry entry = existing(ref, "enter");
    if (entry.state != kortex::State::running)
      throw kortex::Error(KORTEX_E_STATE, "cannot " + what + " in '" + ref.name() + "': it is not running");
    return entry;
  }

  [[nodiscard]] Faults faults_of(const kortex::Ref& ref, const Entry& entry) const {
    return entry.faulty ? Faults(kortex::Options(m_entries.made(ref.key()))) : Faults();
  }

  kortex::Exit run(const kortex::Call& call, const kortex::Ref& ref, const kortex::Execution& execution) const {
    kortex::Process process;
    process.argv = execution.argv;
    process.env = execution.env;
    process.cwd = execution.cwd.empty() ? kortex::Options(m_entries.made(ref.key())).get("source-path") : execution.cwd;
    process.stdin_fd = execution.stdin_fd;
    process.stdout_fd = execution.stdout_fd;
    process.stderr_fd = execution.stderr_fd;
    process.flags = KORTEX_RUN_FOREGROUND;
    return {KORTEX_END_EXITED, call.run(process).exit_code};
  }

  /// The agent's session: greets, then answers each line with itself. ctrl-d or the end of input leaves.
  kortex::Exit converse(const kortex::Call& call, const kortex::Ref& ref, const kortex::Execution& execution) {
    const std::string end_of_line = execution.tty ? "\r\n" : "\n";
    const std::string& keys = execution.detach_keys;
    const kortex::Fd watch = m_entries.watch();
    write_all(execution.stdout_fd, "fake agent '" + std::string(ref.name()) + "'" + end_of_line);
    std::string line, held;
    for (;;) {
      const std::optional<Entry> entry = m_entries.read(ref.key());
      if (!entry || entry->state != kortex::State::running)
        return {KORTEX_END_STOPPED, entry ? std::max(entry->exit_code, 0) : 0};
      if (call.wait_any({execution.stdin_fd, watch.get()}) != std::size_t{0}) {
        drain(watch.get());
        continue;
      }
      char bytes[4096];
      const ssize_t size = ::read(execution.stdin_fd, bytes, sizeof bytes);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) return {};
      for (ssize_t i = 0; i < size; ++i) {
        const char c = bytes[i];
        held = held.size() < keys.size() && keys[held.size()] == c ? held + c : std::string();
        if (!keys.empty() && held == keys) return {KORTEX_END_DETACHED, 0};
        if (execution.tty && c == '\x04') return {};
        if (c != '\n' && c != '\r') {
          line += c;
          continue;
        }
        write_all(execution.stdout_fd, line + end_of_line);
        line.clear();
      }
    }
  }

  static void drain(int watch) {
    char events[4096];
    while (::read(watch, events, sizeof events) > 0) {
    }
  }
  static void wait_for_change(const kortex::Call& call, int watch) {
    call.wait_readable(watch);
    drain(watch);
  }

  /// The whole lines from where the last call ended: each is written at once.
  static std::vector<std::string> new_lines(int fd) {
    std::string text;
    char bytes[4096];
    for (ssize_t size = 0; fd >= 0 && (size = ::read(fd, bytes, sizeof bytes)) > 0;) text.append(bytes, static_cast<std::size_t>(size));
    std::vector<std::string> lines;
    for (std::size_t at = 0, end = 0; (end = text.find('\n', at)) != std::string::npos; at = end + 1)
      lines.push_back(text.substr(at, end + 1 - at));
    return lines;
  }

  Entries m_entries;
};

}  // namespace
}  // namespace fake

#define FAULT(name) R"(")" name R"(":["guarantees","create","start","stop","remove","inspect","exec","terminal","logs","wait"],)"
KORTEX_RUNTIME_MORE(fake::Fake, "fake", KORTEX_RUNTIME_VERSION, "runs nothing; for tests and demonstrations",
                    R"(,"test":true,"options":{"isolation":["none","process","container","microvm"],"enforces":["all","none"],)"
                    FAULT("fail") FAULT("hang") FAULT("crash") FAULT("exit") FAULT("noise")
                    R"("deaf":["true","false"],"at":["before","after"],"code":[],"slow":[]})");
