// The fake runtime as a host sees it: through its table, each operation on a new object.
#include <dlfcn.h>

#include <boost/test/unit_test.hpp>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include <kortex/fd.hpp>

#include "recording_call.hpp"
#include "sandbox.hpp"

namespace {

using kortex::test::RecordingCall;
namespace fs = std::filesystem;

const kortex_plugin* table() {
  void* library = ::dlopen(KORTEX_FAKE_RUNTIME, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (library == nullptr) throw std::runtime_error(::dlerror());
  return reinterpret_cast<kortex_runtime_entry>(::dlsym(library, KORTEX_RUNTIME_ENTRY_NAME))(KORTEX_ABI_MINOR);
}

struct Backend {
  kortex::test::Sandbox sandbox;
  std::string state_dir = sandbox.path().string();
  std::vector<kortex_kv> options;
  std::vector<kortex_port> ports;
  std::unique_ptr<RecordingCall> host;  // of the last operation

  template <class Operation>
  kortex_status call(Operation operation) {
    return call_with(operation, [](RecordingCall&) {});
  }
  template <class Operation, class Prepare>
  kortex_status call_with(Operation operation, Prepare prepare) {
    host = std::make_unique<RecordingCall>();
    host->host.state_dir = state_dir.c_str();
    prepare(*host);
    kortex_runtime* runtime = nullptr;
    const kortex_open_args args{sizeof(kortex_open_args), 0, nullptr};
    BOOST_REQUIRE(table()->open(&host->call, &args, &host->host, &runtime) == KORTEX_OK);
    const kortex_status status = operation(runtime, &host->call);
    table()->close(runtime);
    return status;
  }

  static kortex_ref ref(const char* key) {
    kortex_ref out{};
    out.struct_size = sizeof out;
    out.key = key;
    out.name = "name";
    out.state_dir = "/nowhere";
    return out;
  }
  kortex_workspace workspace() {
    static const char* const argv[] = {"agent", nullptr};
    m_pointers.clear();
    for (const kortex_port& port : ports) m_pointers.push_back(&port);
    kortex_workspace out{};
    out.struct_size = sizeof out;
    out.options = options.data();
    out.option_count = static_cast<std::uint32_t>(options.size());
    out.agent_name = "agent";
    out.agent_argv = argv;
    out.ports = m_pointers.data();
    out.port_count = static_cast<std::uint32_t>(ports.size());
    return out;
  }
  kortex_status create(const char* key = "k") {
    const kortex_ref r = ref(key);
    const kortex_workspace w = workspace();
    const kortex_create_args args{sizeof args, 0, &w};
    return call([&](auto* runtime, auto* c) { return table()->create(runtime, c, &r, &args); });
  }
  template <class Prepare>
  kortex_status start_with(Prepare prepare) {
    const kortex_ref r = ref("k");
    const kortex_workspace w = workspace();
    const kortex_start_args args{sizeof args, 0, &w, nullptr};
    return call_with([&](auto* runtime, auto* c) { return table()->start(runtime, c, &r, &args); }, prepare);
  }
  kortex_status start() {
    return start_with([](RecordingCall&) {});
  }
  kortex_status stop() {
    const kortex_ref r = ref("k");
    const kortex_stop_args args{sizeof args, 0, -1, 0};
    return call([&](auto* runtime, auto* c) { return table()->stop(runtime, c, &r, &args); });
  }
  kortex_status remove(std::uint32_t flags = 0) {
    const kortex_ref r = ref("k");
    const kortex_remove_args args{sizeof args, flags};
    return call([&](auto* runtime, auto* c) { return table()->remove(runtime, c, &r, &args); });
  }
  kortex_status inspect(const char* key = "k") {
    const kortex_ref r = ref(key);
    const kortex_ref* refs[] = {&r};
    return call([&](auto* runtime, auto* c) { return table()->inspect(runtime, c, refs, 1); });
  }
  kortex_state state() {
    BOOST_REQUIRE(inspect() == KORTEX_OK);
    return host->emitted.at(0).state;
  }
  void relink(const std::string& target) {
    fs::remove(sandbox / "instances/k");
    fs::create_symlink(target, sandbox / "instances/k");
  }
  kortex_exit terminal(const std::string& input, const char* detach_keys, std::string& output) {
    kortex::Pipe in = kortex::Pipe::make(), out = kortex::Pipe::make();
    BOOST_REQUIRE(::write(in.write.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()));
    in.write.reset();
    const kortex_ref r = ref("k");
    kortex_exec_args args{};
    args.struct_size = sizeof args;
    args.stdin_fd = in.read.get();
    args.stdout_fd = args.stderr_fd = out.write.get();
    args.detach_keys = detach_keys;
    kortex_exit end{};
    end.struct_size = sizeof end;
    BOOST_REQUIRE(call([&](auto* runtime, auto* c) { return table()->terminal(runtime, c, &r, &args, &end); }) == KORTEX_OK);
    out.write.reset();
    char bytes[1000];
    for (ssize_t size = 0; (size = ::read(out.read.get(), bytes, sizeof bytes)) > 0;) output.append(bytes, static_cast<std::size_t>(size));
    return end;
  }

 private:
  std::vector<const kortex_port*> m_pointers;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(fake)

BOOST_AUTO_TEST_CASE(an_instance_lives_across_objects) {
  Backend b;
  BOOST_TEST(b.state() == KORTEX_STATE_GONE);
  BOOST_TEST(b.create() == KORTEX_OK);
  BOOST_TEST(b.state() == KORTEX_STATE_STOPPED);
  BOOST_TEST(b.start() == KORTEX_OK);
  BOOST_TEST(b.host->emitted.at(0).details == R"({"agent":"agent"})");
  BOOST_TEST(b.start() == KORTEX_OK);
  BOOST_TEST(b.state() == KORTEX_STATE_RUNNING);
  BOOST_TEST(b.create() == KORTEX_OK);  // again: the one that is there
  BOOST_TEST(b.host->emitted.at(0).state == KORTEX_STATE_RUNNING);
  BOOST_TEST(b.stop() == KORTEX_OK);
  BOOST_TEST(b.state() == KORTEX_STATE_STOPPED);
  BOOST_TEST(b.host->emitted.at(0).exit_code == 143);
  BOOST_TEST(b.remove() == KORTEX_OK);
  BOOST_TEST(b.remove() == KORTEX_OK);
  BOOST_TEST(b.state() == KORTEX_STATE_GONE);
}

BOOST_AUTO_TEST_CASE(looking_makes_nothing_and_removing_leaves_nothing) {
  Backend b;
  BOOST_TEST(b.inspect() == KORTEX_OK);
  BOOST_TEST(fs::is_empty(b.sandbox.path()));
  b.options = {{"fail", "stop"}};
  b.create();
  b.start();
  fs::create_symlink("running", b.sandbox / "instances/k.new");  // of a killed process
  BOOST_TEST(b.remove(KORTEX_REMOVE_FORCE) == KORTEX_OK);
  for (const auto& entry : fs::recursive_directory_iterator(b.sandbox.path())) BOOST_TEST(fs::is_directory(entry.path()), entry.path());
}

BOOST_AUTO_TEST_CASE(the_state_can_change_behind_the_hosts_back) {
  Backend b;
  b.create();
  b.relink("failed:0:0:0:9");
  BOOST_TEST(b.state() == KORTEX_STATE_FAILED);
  BOOST_TEST(b.host->emitted.at(0).exit_code == 9);
  b.relink("running");
  BOOST_TEST(b.state() == KORTEX_STATE_RUNNING);
  b.relink("nonsense");
  BOOST_TEST(b.state() == KORTEX_STATE_UNKNOWN);
  fs::remove(b.sandbox / "instances/k");
  BOOST_TEST(b.state() == KORTEX_STATE_GONE);
  BOOST_TEST(b.start() == KORTEX_E_NOT_FOUND);
  BOOST_TEST(b.host->failures.at(0).message == "cannot start 'name': the instance is gone");
}

BOOST_AUTO_TEST_CASE(a_running_instance_is_removed_by_force_only) {
  Backend b;
  b.create();
  b.start();
  BOOST_TEST(b.remove() == KORTEX_E_STATE);
  BOOST_TEST(b.host->failures.at(0).message == "cannot remove 'name': it is running");
  BOOST_TEST(b.remove(KORTEX_REMOVE_FORCE) == KORTEX_OK);
}

BOOST_AUTO_TEST_CASE(a_fault_strikes_before_or_after_the_effect) {
  Backend before;
  before.options = {{"fail", "start"}, {"at", "before"}};
  before.create();
  BOOST_TEST(before.start() == KORTEX_E_BACKEND);
  BOOST_TEST(before.host->failures.at(0).message == "cannot start 'name': the fake backend was told to fail");
  BOOST_TEST(before.state() == KORTEX_STATE_STOPPED);
  Backend after;
  after.options = {{"fail", "start"}, {"at", "after"}, {"code", "8"}};
  after.create();
  BOOST_TEST(after.start() == KORTEX_E_PERMISSION);
  BOOST_TEST(after.state() == KORTEX_STATE_RUNNING);
}

BOOST_AUTO_TEST_CASE(inspect_can_fail_too) {
  Backend b;
  b.options = {{"fail", "inspect"}};
  b.create();
  BOOST_TEST(b.inspect() == KORTEX_E_BACKEND);
  BOOST_TEST(b.host->emitted.empty());
}

BOOST_AUTO_TEST_CASE(a_hanging_operation_says_so_and_can_be_cancelled) {
  Backend b;
  b.options = {{"hang", "start"}, {"deaf", "false"}};
  b.create();
  kortex::Pipe cancel = kortex::Pipe::make();
  cancel.write.reset();
  BOOST_TEST(b.start_with([&](RecordingCall& host) { host.call.cancel_fd = cancel.read.get(); }) == KORTEX_E_CANCELLED);
  BOOST_TEST(b.host->progress.at(0) == "hang: start hangs");
}

BOOST_AUTO_TEST_CASE(a_backend_that_is_down_is_unavailable) {
  Backend b;
  b.create();
  std::ofstream(b.sandbox / "down") << "gone fishing\n";
  BOOST_TEST(b.inspect() == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(b.host->failures.at(0).message == "cannot reach the fake backend: gone fishing");
  BOOST_TEST(b.call([](auto* runtime, auto* c) { return table()->probe(runtime, c); }) == KORTEX_E_UNAVAILABLE);
}

BOOST_AUTO_TEST_CASE(guarantees_are_what_was_asked_for) {
  Backend b;
  kortex_guarantees out{};
  out.struct_size = sizeof out;
  const auto guarantees = [&] {
    const kortex_workspace w = b.workspace();
    return b.call([&](auto* runtime, auto* c) { return table()->guarantees(runtime, c, &w, &out); });
  };
  BOOST_TEST(guarantees() == KORTEX_OK);
  BOOST_TEST((out.isolation == KORTEX_ISOLATION_MICROVM && out.enforces == (1u << 14) - 1));
  b.options = {{"isolation", "process"}, {"enforces", "ports,tty"}};
  BOOST_TEST(guarantees() == KORTEX_OK);
  BOOST_TEST((out.isolation == KORTEX_ISOLATION_PROCESS && out.enforces == (KORTEX_GUARANTEE_PORTS | KORTEX_GUARANTEE_TTY)));
  b.options = {{"enforces", "prots"}};
  BOOST_TEST(guarantees() == KORTEX_E_INVALID);
  BOOST_TEST(b.host->failures.at(0).message == "option 'enforces' names no guarantee: 'prots'");
}

BOOST_AUTO_TEST_CASE(ports_are_forwarded_while_it_runs) {
  Backend b;
  b.ports = {{sizeof(kortex_port), 80, 8080, nullptr}, {sizeof(kortex_port), 81, 8081, "::1"}};
  b.create();
  b.state();
  BOOST_TEST(b.host->emitted.at(0).ports.empty());
  b.start();
  b.state();
  BOOST_TEST((b.host->emitted.at(0).ports == std::vector<std::uint16_t>{8080, 8081}));
}

BOOST_AUTO_TEST_CASE(the_agents_session_answers_and_can_be_left) {
  Backend b;
  b.create();
  b.start();
  std::string output;
  const kortex_exit ended = b.terminal("hello\n", nullptr, output);
  BOOST_TEST((ended.how == KORTEX_END_EXITED && ended.code == 0));
  BOOST_TEST(output == "fake agent 'name'\nhello\n");
  BOOST_TEST(b.terminal("x\x10\x11", "\x10\x11", output).how == KORTEX_END_DETACHED);
}

BOOST_AUTO_TEST_CASE(waiting_ends_when_the_agent_does) {
  Backend b;
  b.create();
  b.start();
  kortex_exit out{};
  out.struct_size = sizeof out;
  const kortex_ref r = Backend::ref("k");
  std::thread other([&] {
    fs::create_symlink("stopped:0:0:0:5", b.sandbox / "instances/k.other");
    fs::rename(b.sandbox / "instances/k.other", b.sandbox / "instances/k");
  });
  BOOST_TEST(b.call([&](auto* runtime, auto* c) { return table()->wait(runtime, c, &r, &out); }) == KORTEX_OK);
  other.join();
  BOOST_TEST(out.code == 5);
}

BOOST_AUTO_TEST_CASE(logs_tell_what_happened_from_the_end) {
  Backend b;
  b.create();
  b.start();
  b.stop();
  const kortex_ref r = Backend::ref("k");
  const auto logs = [&](std::int64_t tail) {
    const kortex_logs_args args{sizeof args, 0, tail, 0};
    BOOST_TEST(b.call([&](auto* runtime, auto* c) { return table()->logs(runtime, c, &r, &args); }) == KORTEX_OK);
    return b.host->output;
  };
  BOOST_TEST(logs(-1) == "started agent 'agent'\nstopped\n");
  BOOST_TEST(logs(1) == "stopped\n");
  BOOST_TEST(logs(0) == "");
}

BOOST_AUTO_TEST_CASE(ten_thousand_instances_are_all_told) {
  Backend b;
  b.create();
  std::vector<std::string> keys;
  for (int i = 0; i < 10000; ++i) keys.push_back("bench-" + std::to_string(i));
  for (const std::string& key : keys) fs::create_symlink("running:1:2:0:-1::", b.sandbox / ("instances/" + key));
  std::vector<kortex_ref> refs;
  std::vector<const kortex_ref*> pointers;
  for (const std::string& key : keys) refs.push_back(Backend::ref(key.c_str()));
  for (const kortex_ref& r : refs) pointers.push_back(&r);
  const auto before = std::chrono::steady_clock::now();
  BOOST_TEST(b.call([&](auto* runtime, auto* c) { return table()->inspect(runtime, c, pointers.data(), pointers.size()); }) == KORTEX_OK);
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - before;
  BOOST_TEST_MESSAGE("inspect: " << took.count() / 10000 << " us each");
  BOOST_TEST(b.host->emitted.size() == 10000u);
  BOOST_TEST(b.host->emitted.back().state == KORTEX_STATE_RUNNING);
}

BOOST_AUTO_TEST_SUITE_END()
