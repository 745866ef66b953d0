#include "instance.hpp"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

#include "helper_image.hpp"

namespace kortex::check {

namespace fs = std::filesystem;

namespace {

constexpr const char* signs_directory = ".kortex-check";

std::string text_of(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

void put_helper(const fs::path& file) {
  const std::string_view image = helper_image();
  std::ofstream out(file, std::ios::binary);
  out.write(image.data(), static_cast<std::streamsize>(image.size()));
  if (!out.flush()) fail("cannot write '" + file.string() + "'");
  out.close();
  fs::permissions(file, static_cast<fs::perms>(0755));
}

}  // namespace

Instance::Instance(const Bench& bench, Wish wish, const std::string& key, const fs::path& place)
    : m_bench(bench), m_wish(std::move(wish)), m_key(key), m_state(place / "state"), m_sources(place / "sources") {
  if (m_wish.long_state_dir) m_state = place / std::string(100, 's') / std::string(100, 't') / "state";
  m_signs = m_sources / signs_directory;
  if (fs::exists(m_signs)) return;
  fs::create_directories(m_state);
  fs::permissions(m_state, fs::perms::owner_all);
  fs::create_directories(m_signs);
  // Whoever the agent is in there, he tells us here how he fares.
  for (const fs::path& directory : {m_sources, m_signs}) fs::permissions(directory, static_cast<fs::perms>(0777));
  std::ofstream(m_sources / sample_file) << "of the host\n";
  put_helper(m_signs / "inside");
  remember();
}

void Instance::remember() const {
  std::ofstream(m_bench.own() / "instances", std::ios::app) << m_key << '\n' << m_sources.parent_path().string() << '\n';
}

void Instance::set_id(const std::string& id) {
  m_id = id;
  std::ofstream(m_sources.parent_path() / "id") << id;
}

void Instance::set_agent_attempt(const std::vector<std::string>& attempt) {
  m_wish.agent = {helper(), "try", m_signs.string()};
  m_wish.agent.insert(m_wish.agent.end(), attempt.begin(), attempt.end());
}

std::string Instance::helper() const { return (m_signs / "inside").string(); }

const kortex_ref* Instance::ref(Child& child) const {
  auto* ref = child.arena.make<kortex_ref>();
  ref->key = child.arena.copy(m_key);
  ref->id = child.arena.copy_or_null(m_id);
  ref->name = child.arena.copy(m_wish.name);
  ref->state_dir = child.arena.copy(m_state.string());
  return ref;
}

const kortex_workspace* Instance::workspace(Child& child, bool) const {
  Arena& arena = child.arena;
  auto* out = arena.make<kortex_workspace>();
  const KeyValues options = completed_options(child.plugin, child.places.options, false);
  out->options = arena.copy(options);
  out->option_count = static_cast<std::uint32_t>(options.size());
  out->source_path = out->target_path = arena.copy(m_sources.string());
  out->config_path = arena.copy((m_sources / ".kortex").string());
  out->agent_name = "check";
  std::vector<std::string> agent = m_wish.agent;
  if (agent.empty()) {
    agent = {helper(), "agent", m_signs.string()};
    agent.insert(agent.end(), m_wish.agent_words.begin(), m_wish.agent_words.end());
  }
  out->agent_argv = arena.copy(agent);
  out->env = arena.copy(m_wish.env);
  out->env_count = static_cast<std::uint32_t>(m_wish.env.size());
  const KeyValues labels{{"io.kortex.check", m_key}};
  out->labels = arena.copy(labels);
  out->label_count = 1;
  auto** mounts = arena.array<const kortex_mount*>(m_wish.mounts.size() + 1);
  for (std::size_t i = 0; i < m_wish.mounts.size(); ++i) {
    auto* mount = arena.make<kortex_mount>();
    mount->flags = m_wish.mounts[i].flags;
    mount->host_path = arena.copy(m_wish.mounts[i].host);
    mount->target = arena.copy(m_wish.mounts[i].target);
    mounts[i] = mount;
  }
  out->mounts = mounts;
  out->mount_count = static_cast<std::uint32_t>(m_wish.mounts.size());
  auto** ports = arena.array<const kortex_port*>(m_wish.ports.size() + 1);
  for (std::size_t i = 0; i < m_wish.ports.size(); ++i) {
    auto* port = arena.make<kortex_port>();
    port->target = m_wish.ports[i];
    ports[i] = port;
  }
  out->ports = ports;
  out->port_count = static_cast<std::uint32_t>(m_wish.ports.size());
  out->network = m_wish.network;
  out->allowed_hosts = arena.copy(m_wish.allowed_hosts);
  out->allowed_host_count = static_cast<std::uint32_t>(m_wish.allowed_hosts.size());
  out->cpus_milli = m_wish.cpus_milli;
  out->memory_bytes = m_wish.memory;
  out->processes = m_wish.processes;
  out->image = arena.copy_or_null(!m_wish.image.empty() ? m_wish.image : m_bench.arguments().image);
  if (!m_wish.build_context.empty()) {
    out->image = nullptr;
    out->build_context = arena.copy(m_wish.build_context);
  }
  out->uid = ::getuid();
  out->gid = ::getgid();
  return out;
}

OperationSettings Instance::named(const OperationSettings& given, const char* function) const {
  OperationSettings settings = given;
  settings.function = function;
  settings.newer = settings.newer || m_wish.newer_host;
  return settings;
}

Outcome Instance::create(const OperationSettings& settings) {
  Outcome outcome = m_bench.perform(named(settings, "create"), [this](Child& child) {
    auto* args = child.arena.make<kortex_create_args>();
    args->workspace = workspace(child, true);
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.create(child.runtime, child.call, r, args); });
  });
  if (outcome.ok() && outcome.emitted.size() == 1 && outcome.emitted[0].id) set_id(*outcome.emitted[0].id);
  return outcome;
}

Operation Instance::begin_start() {
  return Operation(m_bench.places(), named({}, "start"), [this](Child& child) {
    auto* args = child.arena.make<kortex_start_args>();
    args->workspace = workspace(child, false);
    std::vector<std::string> env = m_wish.start_env;
    for (const auto& [name, value] : m_wish.env) env.push_back(name + "=" + value);
    args->env = child.arena.copy(env);
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.start(child.runtime, child.call, r, args); });
  });
}

Outcome Instance::start(const OperationSettings& settings) {
  return m_bench.perform(named(settings, "start"), [this](Child& child) {
    auto* args = child.arena.make<kortex_start_args>();
    args->workspace = workspace(child, false);
    std::vector<std::string> env = m_wish.start_env;
    for (const auto& [name, value] : m_wish.env) env.push_back(name + "=" + value);
    args->env = child.arena.copy(env);
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.start(child.runtime, child.call, r, args); });
  });
}

Outcome Instance::stop(std::int32_t grace_ms, std::uint32_t flags, const OperationSettings& settings) {
  return m_bench.perform(named(settings, "stop"), [&, this](Child& child) {
    auto* args = child.arena.make<kortex_stop_args>();
    args->flags = flags;
    args->grace_ms = grace_ms;
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.stop(child.runtime, child.call, r, args); });
  });
}

Operation Instance::begin_stop(std::int32_t grace_ms, std::chrono::milliseconds deadline) {
  OperationSettings settings;
  settings.deadline = deadline;
  return Operation(m_bench.places(), named(settings, "stop"), [grace_ms, this](Child& child) {
    auto* args = child.arena.make<kortex_stop_args>();
    args->grace_ms = grace_ms;
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.stop(child.runtime, child.call, r, args); });
  });
}

Outcome Instance::remove(std::uint32_t flags, const OperationSettings& settings) {
  return m_bench.perform(named(settings, "remove"), [&, this](Child& child) {
    auto* args = child.arena.make<kortex_remove_args>();
    args->flags = flags;
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.remove(child.runtime, child.call, r, args); });
  });
}

Outcome Instance::inspect_all(const Bench& bench, const std::vector<Instance*>& instances) {
  OperationSettings settings;
  settings.function = "inspect";
  return bench.perform(settings, [&](Child& child) {
    auto** refs = child.arena.array<const kortex_ref*>(instances.size() + 1);
    for (std::size_t i = 0; i < instances.size(); ++i) refs[i] = instances[i]->ref(child);
    return child.sealed([&] { return child.plugin.inspect(child.runtime, child.call, refs, instances.size()); });
  });
}

Outcome Instance::inspect(const OperationSettings& settings) {
  return m_bench.perform(named(settings, "inspect"), [this](Child& child) {
    auto** refs = child.arena.array<const kortex_ref*>(2);
    refs[0] = ref(child);
    return child.sealed([&] { return child.plugin.inspect(child.runtime, child.call, refs, 1); });
  });
}

Outcome Instance::guarantees() {
  return m_bench.perform(named({}, "guarantees"), [this](Child& child) {
    // The plugin may write what the caller says there is, and not a byte more.
    struct {
      kortex_guarantees out;
      unsigned char canary[64];
    } area;
    std::memset(&area, 0, sizeof area);
    std::memset(area.canary, 0xA5, sizeof area.canary);
    area.out.struct_size = sizeof area.out;
    const kortex_workspace* w = workspace(child, false);
    const kortex_status status = child.sealed([&] { return child.plugin.guarantees(child.runtime, child.call, w, &area.out); });
    for (const unsigned char byte : area.canary)
      if (byte != 0xA5) {
        child.recorder.complain("R2: guarantees() wrote beyond the struct_size of its out-parameter");
        break;
      }
    child.recorder.plain(Tag::guarantees, area.out);
    return status;
  });
}

namespace {

kortex_exit empty_exit() {
  kortex_exit out{};
  out.struct_size = sizeof out;
  return out;
}

}  // namespace

Outcome Instance::wait(const OperationSettings& settings) {
  return m_bench.perform(named(settings, "wait"), [this](Child& child) {
    const kortex_ref* r = ref(child);
    kortex_exit end = empty_exit();
    const kortex_status status = child.sealed([&] { return child.plugin.wait(child.runtime, child.call, r, &end); });
    child.recorder.plain(Tag::exit, end);
    return status;
  });
}

Operation Instance::begin_wait(std::chrono::milliseconds deadline) {
  OperationSettings settings;
  settings.deadline = deadline;
  return Operation(m_bench.places(), named(settings, "wait"), [this](Child& child) {
    const kortex_ref* r = ref(child);
    kortex_exit end = empty_exit();
    const kortex_status status = child.sealed([&] { return child.plugin.wait(child.runtime, child.call, r, &end); });
    child.recorder.plain(Tag::exit, end);
    return status;
  });
}

Outcome Instance::logs(std::int64_t tail, std::uint32_t flags, std::int64_t since_ms, const OperationSettings& settings) {
  return m_bench.perform(named(settings, "logs"), [&, this](Child& child) {
    auto* args = child.arena.make<kortex_logs_args>();
    args->tail = tail;
    args->flags = flags;
    args->since_ms = since_ms;
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.logs(child.runtime, child.call, r, args); });
  });
}

Operation Instance::begin_logs(std::uint32_t flags, std::chrono::milliseconds deadline) {
  OperationSettings settings;
  settings.deadline = deadline;
  return Operation(m_bench.places(), named(settings, "logs"), [flags, this](Child& child) {
    auto* args = child.arena.make<kortex_logs_args>();
    args->tail = -1;
    args->flags = flags;
    const kortex_ref* r = ref(child);
    return child.sealed([&] { return child.plugin.logs(child.runtime, child.call, r, args); });
  });
}

Session Instance::begin(const Execution& execution) {
  Fd ours_in, ours_out, ours_err, theirs_in, theirs_out, theirs_err;
  if (execution.tty) {
    ours_out.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (!ours_out || ::grantpt(ours_out.get()) != 0 || ::unlockpt(ours_out.get()) != 0) fail("cannot make a terminal");
    char name[128];
    ::ptsname_r(ours_out.get(), name, sizeof name);
    theirs_in.reset(::open(name, O_RDWR | O_NOCTTY | O_CLOEXEC));
    termios modes{};
    ::tcgetattr(theirs_in.get(), &modes);
    ::cfmakeraw(&modes);  // as the host does
    ::tcsetattr(theirs_in.get(), TCSANOW, &modes);
    winsize size{};
    size.ws_row = execution.rows;
    size.ws_col = execution.cols;
    ::ioctl(theirs_in.get(), TIOCSWINSZ, &size);
    theirs_out.reset(::fcntl(theirs_in.get(), F_DUPFD_CLOEXEC, 3));
    theirs_err.reset(::fcntl(theirs_in.get(), F_DUPFD_CLOEXEC, 3));
    ours_in.reset(::fcntl(ours_out.get(), F_DUPFD_CLOEXEC, 3));
  } else {
    Pipe in = Pipe::make(), out = Pipe::make(), err = Pipe::make();
    ours_in = std::move(in.write);
    theirs_in = std::move(in.read);
    ours_out = std::move(out.read);
    theirs_out = std::move(out.write);
    ours_err = std::move(err.read);
    theirs_err = std::move(err.write);
  }
  OperationSettings settings;
  settings.terminal = true;
  settings.deadline = execution.deadline;
  settings.cancelled = execution.cancelled;
  settings.in = execution.without_input ? -1 : theirs_in.get();
  settings.out = theirs_out.get();
  settings.err = theirs_err.get();
  const int ours[] = {ours_in.get(), ours_out.get(), ours_err.get()};
  Operation operation(m_bench.places(), named(settings, execution.terminal_function ? "terminal" : "exec"), [&, this](Child& child) {
    for (const int fd : ours)
      if (fd >= 0) ::close(fd);
    auto* args = child.arena.make<kortex_exec_args>();
    args->flags = execution.tty ? static_cast<std::uint32_t>(KORTEX_EXEC_TTY) : 0;
    std::vector<std::string> argv = execution.program;
    if (argv.empty() && !execution.argv.empty()) {
      argv.push_back(helper());
      argv.insert(argv.end(), execution.argv.begin(), execution.argv.end());
    }
    if (!argv.empty()) args->argv = child.arena.copy(argv);
    args->env = execution.env.empty() ? nullptr : child.arena.copy(execution.env);
    args->cwd = child.arena.copy_or_null(execution.cwd);
    args->stdin_fd = settings.in;
    args->stdout_fd = settings.out;
    args->stderr_fd = settings.err;
    args->rows = execution.rows;
    args->cols = execution.cols;
    args->detach_keys = child.arena.copy_or_null(execution.detach_keys);
    const kortex_ref* r = ref(child);
    kortex_exit end = empty_exit();
    const auto function = execution.terminal_function ? child.plugin.terminal : child.plugin.exec;
    const kortex_status status = child.sealed([&] { return function(child.runtime, child.call, r, args, &end); });
    child.recorder.plain(Tag::exit, end);
    return status;
  });
  return {std::move(operation), std::move(ours_in), std::move(ours_out), std::move(ours_err)};
}

Instance::Ended Instance::run(const Execution& execution, const std::string& input) {
  Session session = begin(execution);
  Ended ended;
  // All three at once: a program that writes before it has read all must not wait for us.
  std::size_t fed = 0;
  if (input.empty() && !execution.tty) session.input.reset();
  if (session.input && !execution.tty) ::fcntl(session.input.get(), F_SETFL, O_NONBLOCK);
  std::array<char, 65536> bytes;
  while (session.output || session.errors) {
    std::array<pollfd, 4> fds{{{session.output.get(), POLLIN, 0},
                               {session.errors.get(), POLLIN, 0},
                               {fed < input.size() ? session.input.get() : -1, POLLOUT, 0},
                               {session.operation.pidfd(), POLLIN, 0}}};
    if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) break;
    const auto take = [&](Fd& from, std::string& text) {
      const ssize_t n = ::read(from.get(), bytes.data(), bytes.size());
      if (n <= 0)
        from.reset();
      else
        text.append(bytes.data(), static_cast<std::size_t>(n));
    };
    if (fds[0].revents != 0) take(session.output, ended.out);
    if (fds[1].revents != 0) take(session.errors, ended.err);
    if (fds[2].revents != 0) {
      const ssize_t n = ::write(session.input.get(), input.data() + fed, input.size() - fed);
      if (n > 0) fed += static_cast<std::size_t>(n);
      if ((n < 0 && errno != EAGAIN) || fed == input.size()) {
        fed = input.size();
        if (!execution.tty) session.input.reset();
      }
    }
    // Something else may hold the pipe's other end: what is in it now is all.
    if (fds[3].revents != 0 && fds[0].revents == 0 && fds[1].revents == 0) break;
  }
  ended.outcome = session.operation.finish();
  return ended;
}

kortex_state Instance::state() {
  const Outcome outcome = inspect();
  expect_ok(outcome);
  expect_equal("instances that inspect() of one emitted", static_cast<std::int64_t>(outcome.emitted.size()), 1);
  return outcome.emitted[0].state;
}

void Instance::await_state(std::initializer_list<kortex_state> any) {
  for (;;) {
    const kortex_state now = state();
    if (std::find(any.begin(), any.end(), now) != any.end()) return;
  }
}

void Instance::vanish() {
  const std::string& command = m_bench.arguments().delete_command;
  if (command.empty()) {
    // Another host's: the plugin in this process learns nothing of it.
    expect_ok(remove(KORTEX_REMOVE_FORCE));
    return;
  }
  ::setenv("KORTEX_KEY", m_key.c_str(), 1);
  ::setenv("KORTEX_ID", m_id.c_str(), 1);
  ::setenv("KORTEX_STATE_DIR", m_state.c_str(), 1);
  const int status = ::system((command + " >/dev/null 2>&1 </dev/null").c_str());
  expect(status == 0, "'" + command + "' ended with status " + std::to_string(status));
}

// What the helper writes appears by rename(). A folder of another machine may not announce it: it is looked at as well.
std::string Instance::await_sign(const std::string& name) const {
  const Fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  ::inotify_add_watch(watch.get(), m_signs.c_str(), IN_CREATE | IN_MOVED_TO | IN_MODIFY | IN_CLOSE_WRITE);
  if (g_breadcrumb != nullptr) std::strncpy(g_breadcrumb, ("waiting for the agent's sign '" + name + "'").c_str(), breadcrumb_size - 1);
  while (!has_sign(name)) {
    pollfd poll{watch.get(), POLLIN, 0};
    ::poll(&poll, 1, 200);
    std::array<char, 4096> events;
    while (::read(watch.get(), events.data(), events.size()) > 0) continue;
  }
  return sign(name);
}

// The agent opens "started" and then adds a line to it.
bool Instance::has_sign(const std::string& name) const {
  return name == "started" ? agent_starts() > 0 : ::access((m_signs / name).c_str(), F_OK) == 0;
}
std::string Instance::sign(const std::string& name) const { return text_of(m_signs / name); }

void Instance::order(const std::string& what) const {
  fs::remove(m_signs / "done");
  std::ofstream(m_signs / ".do") << what;
  fs::rename(m_signs / ".do", m_signs / "do");
}

std::size_t Instance::agent_starts() const {
  const std::string lines = sign("started");
  return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
}

std::vector<std::pair<std::string, std::string>> Instance::report() const {
  std::istringstream lines(await_sign("report"));
  std::vector<std::pair<std::string, std::string>> out;
  for (std::string line; std::getline(lines, line);) {
    const std::size_t blank = line.find(' ');
    if (blank != std::string::npos) out.emplace_back(line.substr(0, blank), line.substr(blank + 1));
  }
  return out;
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 65536> bytes;
  for (ssize_t n = 0; (n = ::read(fd, bytes.data(), bytes.size())) > 0 || (n < 0 && errno == EINTR);)
    if (n > 0) text.append(bytes.data(), static_cast<std::size_t>(n));
  return text;
}

std::string read_until(int fd, const std::string& enough) {
  if (g_breadcrumb != nullptr) std::strncpy(g_breadcrumb, ("reading until " + in_quotes(enough)).c_str(), breadcrumb_size - 1);
  std::string text;
  std::array<char, 4096> bytes;
  while (text.find(enough) == std::string::npos) {
    const ssize_t n = ::read(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) fail("expected " + in_quotes(enough) + ", and it ended after " + in_quotes(text));
    text.append(bytes.data(), static_cast<std::size_t>(n));
  }
  return text;
}

void write_all(int fd, const std::string& bytes) {
  for (std::string_view rest = bytes; !rest.empty();) {
    const ssize_t n = ::write(fd, rest.data(), rest.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail(std::string("cannot write to the session: ") + std::strerror(errno));
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

}  // namespace kortex::check
