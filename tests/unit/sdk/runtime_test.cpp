#include <kortex/runtime.hpp>
#include <kortex/session.hpp>

#include <boost/test/unit_test.hpp>
#include <cstring>
#include <filesystem>
#include <functional>
#include <new>
#include <system_error>

#include "recording_call.hpp"

namespace {

using kortex::test::RecordingCall;

std::function<void()> in_start;  // what the operation does

class Small : public kortex::Runtime {
 public:
  static constexpr std::uint64_t capabilities = KORTEX_CAP_CONCURRENT;
  static constexpr const char* vendor = "Example";
  static const void* extension(const char* id) { return std::strcmp(id, "com.example.x/1") == 0 ? id : nullptr; }
  static std::vector<kortex::Option> options() {
    return {{"size", "how big", KORTEX_OPT_SIZE, KORTEX_OPT_GLOBAL, "1024", {}, 1, 4096},
            {"colour", "which", KORTEX_OPT_ENUM, 0, std::nullopt, {"red", "green"}}};
  }

  explicit Small(const kortex::Open& open) : m_size(open.options.number("size").value_or(-1)) {}

  kortex::Probe probe(kortex::Call&) override { return {"small \"1\"", {{"size", std::to_string(m_size)}}}; }
  kortex::Guarantees guarantees(kortex::Call&, const kortex::Workspace& w) override {
    return {kortex::Isolation::container, KORTEX_GUARANTEE_TTY, {"the " + w.agent_name}};
  }
  kortex::Instance create(kortex::Call&, const kortex::Ref&, const kortex::Workspace& w) override {
    kortex::Instance instance;
    instance.state = kortex::State::stopped;
    for (const kortex::Port& port : w.ports) instance.forwards.push_back({port.target, 4000, port.bind});
    return instance;
  }
  kortex::Instance start(kortex::Call& call, const kortex::Ref&, const kortex::Workspace&, const std::vector<std::string>&) override {
    in_start();
    call.throw_if_cancelled();
    return {};
  }
  kortex::Instance stop(kortex::Call&, const kortex::Ref&, const kortex::StopMode& mode) override {
    kortex::Instance instance;
    instance.status = mode.kill ? "kill" : mode.grace ? std::to_string(mode.grace->count()) : "default";
    instance.details_json = kortex::json::Object{{"mode", instance.status}}.text();
    return instance;
  }
  void remove(kortex::Call&, const kortex::Ref&, kortex::RemoveMode) override {}
  void inspect(kortex::Call& call, const std::vector<kortex::Ref>& refs) override {
    for (const kortex::Ref& ref : refs) call.emit(ref, kortex::Instance());
  }

 private:
  std::int64_t m_size;
};

class Able : public Small, public kortex::Execs, public kortex::Waits {
 public:
  using Small::Small;
  kortex::Exit exec(kortex::Call& call, const kortex::Ref&, const kortex::Execution& e) override {
    kortex::Process process;
    process.argv = e.argv;
    const kortex::ProcessResult result = call.run(process);
    return {KORTEX_END_EXITED, result.exit_code + static_cast<int>(result.out.size())};
  }
  kortex::Exit wait(kortex::Call&, const kortex::Ref&) override { return {KORTEX_END_STOPPED, 143}; }
};

const kortex_plugin* small() { return kortex::detail::table_of<Small>("small", "0.1.0", "s"); }

struct Opened {
  RecordingCall host;
  const kortex_plugin* plugin;
  kortex_runtime* runtime = nullptr;
  kortex_ref ref{};
  const char* argv[2] = {"agent", nullptr};
  kortex_workspace workspace{};

  explicit Opened(const kortex_plugin* p = small()) : plugin(p) {
    const kortex_kv size{"size", "2048"};
    kortex_open_args args{sizeof(kortex_open_args), 1, &size};
    BOOST_REQUIRE_EQUAL(plugin->open(&host.call, &args, &host.host, &runtime), KORTEX_OK);
    ref.struct_size = sizeof ref;
    ref.key = "k-1";
    ref.name = "name";
    workspace.struct_size = sizeof workspace;
    workspace.agent_name = "agent";
    workspace.agent_argv = argv;
  }
  ~Opened() { plugin->close(runtime); }
  Opened(const Opened&) = delete;
  Opened& operator=(const Opened&) = delete;

  kortex_status start(std::function<void()> doing) {
    in_start = std::move(doing);
    kortex_start_args args{sizeof args, 0, &workspace, nullptr};
    return plugin->start(runtime, &host.call, &ref, &args);
  }
  void check_failure(kortex_status code, const std::string& message, const std::string& hint = "(null)",
                     const std::string& detail = "(null)") {
    BOOST_REQUIRE_EQUAL(host.failures.size(), 1u);
    BOOST_TEST(host.failures[0].code == code);
    BOOST_TEST(host.failures[0].message == message);
    BOOST_TEST(host.failures[0].hint == hint);
    BOOST_TEST(host.failures[0].detail == detail);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(runtime)

BOOST_AUTO_TEST_CASE(the_table_says_what_the_class_says) {
  const kortex_plugin* plugin = small();
  BOOST_TEST(plugin->struct_size == sizeof(kortex_plugin));
  BOOST_TEST(plugin->abi_major == 1);
  BOOST_TEST(plugin->capabilities == static_cast<std::uint64_t>(KORTEX_CAP_CONCURRENT));
  BOOST_TEST(plugin->vendor == "Example");
  BOOST_TEST(plugin->license == nullptr);
  BOOST_TEST(plugin->extension("com.example.x/1") != nullptr);
  BOOST_TEST(plugin->extension("com.example.y/1") == nullptr);
  BOOST_TEST(plugin->options[0]->name == "size");
  BOOST_TEST(plugin->options[0]->default_value == "1024");
  BOOST_TEST(plugin->options[0]->max_value == 4096);
  BOOST_TEST(plugin->options[0]->choices == nullptr);
  BOOST_TEST(plugin->options[1]->choices[1] == "green");
  BOOST_TEST(plugin->options[1]->choices[2] == nullptr);
  BOOST_TEST(plugin->options[1]->default_value == nullptr);
  BOOST_TEST(plugin->options[2] == nullptr);
  BOOST_TEST(plugin == small());
}

BOOST_AUTO_TEST_CASE(optional_operations_are_there_exactly_for_the_interfaces_derived_from) {
  const kortex_plugin* able = kortex::detail::table_of<Able>("able", "0.1.0", "s");
  BOOST_TEST((able->exec != nullptr && able->wait != nullptr));
  BOOST_TEST((able->terminal == nullptr && able->logs == nullptr && able->list == nullptr));
  BOOST_TEST((small()->exec == nullptr && small()->wait == nullptr));
}

BOOST_AUTO_TEST_CASE(an_error_keeps_code_message_hint_and_detail) {
  Opened o;
  BOOST_TEST(o.start([] { throw kortex::Error(KORTEX_E_BACKEND, "cannot start 'x': no", "try this", "raw"); }) == KORTEX_E_BACKEND);
  o.check_failure(KORTEX_E_BACKEND, "cannot start 'x': no", "try this", "raw");
}

BOOST_AUTO_TEST_CASE(the_session_clients_error_keeps_its_code) {
  Opened o;
  BOOST_TEST(o.start([] { throw kortex::session::Error(KORTEX_E_STATE, "already started"); }) == KORTEX_E_STATE);
  o.check_failure(KORTEX_E_STATE, "already started");
}

BOOST_AUTO_TEST_CASE(an_error_without_a_failing_code_is_a_bug_and_no_success) {
  Opened o;
  BOOST_TEST(o.start([] { throw kortex::Error(KORTEX_OK, "fine"); }) == KORTEX_E_INTERNAL);
}

BOOST_AUTO_TEST_CASE(lack_of_memory_is_a_resource) {
  Opened o;
  BOOST_TEST(o.start([] { throw std::bad_alloc(); }) == KORTEX_E_RESOURCE);
  o.check_failure(KORTEX_E_RESOURCE, "out of memory");
}

BOOST_AUTO_TEST_CASE(system_errors_are_sorted_by_errno_and_a_missing_file_is_not_a_missing_instance) {
  const auto code_for = [](int number) {
    Opened o;
    return o.start([number] { throw std::filesystem::filesystem_error("f", std::error_code(number, std::system_category())); });
  };
  BOOST_TEST(code_for(EACCES) == KORTEX_E_PERMISSION);
  BOOST_TEST(code_for(ENOSPC) == KORTEX_E_RESOURCE);
  BOOST_TEST(code_for(ENOENT) == KORTEX_E_FAILED);
}

BOOST_AUTO_TEST_CASE(anything_else_is_internal) {
  Opened o;
  BOOST_TEST(o.start([] { throw std::out_of_range("vector::at"); }) == KORTEX_E_INTERNAL);
  o.check_failure(KORTEX_E_INTERNAL, "vector::at");
  Opened p;
  BOOST_TEST(p.start([] { throw 42; }) == KORTEX_E_INTERNAL);
  p.check_failure(KORTEX_E_INTERNAL, "an exception that is no std::exception");
}

BOOST_AUTO_TEST_CASE(a_cancelled_operation_says_so_without_an_error) {
  Opened o;
  o.host.cancelled = true;
  BOOST_TEST(o.start([] {}) == KORTEX_E_CANCELLED);
  BOOST_TEST(o.host.failures.empty());
}

BOOST_AUTO_TEST_CASE(a_passed_deadline_is_a_timeout) {
  Opened o;
  o.host.call.deadline_ms = 1;
  BOOST_TEST(o.start([] {}) == KORTEX_E_TIMEOUT);
  o.check_failure(KORTEX_E_TIMEOUT, "the operation took too long");
}

BOOST_AUTO_TEST_CASE(create_emits_one_instance_with_the_refs_key_as_id) {
  Opened o;
  kortex_port port{sizeof(kortex_port), 80, 0, nullptr};
  const kortex_port* ports[] = {&port};
  o.workspace.ports = ports;
  o.workspace.port_count = 1;
  kortex_create_args args{sizeof args, 0, &o.workspace};
  BOOST_TEST(o.plugin->create(o.runtime, &o.host.call, &o.ref, &args) == KORTEX_OK);
  BOOST_REQUIRE_EQUAL(o.host.emitted.size(), 1u);
  BOOST_TEST(o.host.emitted[0].key == "k-1");
  BOOST_TEST(o.host.emitted[0].id == "k-1");
  BOOST_TEST(o.host.emitted[0].name == "name");
  BOOST_TEST(o.host.emitted[0].state == KORTEX_STATE_STOPPED);
  BOOST_TEST(o.host.emitted[0].details == "(null)");
  BOOST_TEST(o.host.emitted[0].ports == std::vector<std::uint16_t>{4000});
}

BOOST_AUTO_TEST_CASE(inspect_emits_each_ref_with_the_id_it_had) {
  Opened o;
  kortex_ref other = o.ref;
  other.key = "k-2";
  other.id = "backend-2";
  const kortex_ref* refs[] = {&o.ref, &other};
  BOOST_TEST(o.plugin->inspect(o.runtime, &o.host.call, refs, 2) == KORTEX_OK);
  BOOST_REQUIRE_EQUAL(o.host.emitted.size(), 2u);
  BOOST_TEST(o.host.emitted[1].id == "backend-2");
}

BOOST_AUTO_TEST_CASE(a_host_that_wants_no_more_ends_the_operation) {
  Opened o;
  o.host.refuses_more = true;
  const kortex_ref* refs[] = {&o.ref, &o.ref};
  BOOST_TEST(o.plugin->inspect(o.runtime, &o.host.call, refs, 2) == KORTEX_E_CANCELLED);
  BOOST_TEST(o.host.emitted.size() == 1u);
}

BOOST_AUTO_TEST_CASE(stop_modes_arrive) {
  for (const auto& [flags, grace, wanted] : {std::tuple{0u, -1, "default"}, {0u, 500, "500"}, {unsigned{KORTEX_STOP_KILL}, -1, "kill"}}) {
    Opened o;
    kortex_stop_args args{sizeof args, flags, grace, 0};
    BOOST_TEST(o.plugin->stop(o.runtime, &o.host.call, &o.ref, &args) == KORTEX_OK);
    BOOST_TEST(o.host.emitted.at(0).details == "{\"mode\":\"" + std::string(wanted) + "\"}");
  }
}

BOOST_AUTO_TEST_CASE(probe_and_guarantees_answer_in_json_and_in_the_out_parameter) {
  Opened o;
  BOOST_TEST(o.plugin->probe(o.runtime, &o.host.call) == KORTEX_OK);
  BOOST_TEST(o.host.results.at(0) == R"({"backend":"small \"1\"","size":"2048"})");
  kortex_guarantees out{};
  out.struct_size = sizeof out;
  BOOST_TEST(o.plugin->guarantees(o.runtime, &o.host.call, &o.workspace, &out) == KORTEX_OK);
  BOOST_TEST(out.isolation == KORTEX_ISOLATION_CONTAINER);
  BOOST_TEST(out.enforces == static_cast<std::uint64_t>(KORTEX_GUARANTEE_TTY));
  BOOST_TEST(o.host.results.at(1) == R"({"exposure":["the agent"]})");
}

BOOST_AUTO_TEST_CASE(a_program_that_ran_is_a_result_and_one_that_did_not_passes_the_hosts_reason_on) {
  Opened o(kortex::detail::table_of<Able>("able", "0.1.0", "s"));
  kortex_exec_args args{};
  args.struct_size = sizeof args;
  args.argv = o.argv;
  kortex_exit out{};
  out.struct_size = sizeof out;
  BOOST_TEST(o.plugin->exec(o.runtime, &o.host.call, &o.ref, &args, &out) == KORTEX_OK);
  BOOST_TEST(out.code == 7 + 3);  // the output's NUL byte counts
  o.host.run_status = KORTEX_E_UNAVAILABLE;
  BOOST_TEST(o.plugin->exec(o.runtime, &o.host.call, &o.ref, &args, &out) == KORTEX_E_UNAVAILABLE);
  o.check_failure(KORTEX_E_UNAVAILABLE, "the host's reason");
  BOOST_TEST(o.plugin->wait(o.runtime, &o.host.call, &o.ref, &out) == KORTEX_OK);
  BOOST_TEST((out.how == KORTEX_END_STOPPED && out.code == 143));
}

BOOST_AUTO_TEST_CASE(names_are_checked_when_compiling) {
  static_assert(kortex::detail::is_runtime_name("apple-container") && kortex::detail::is_runtime_name("a1"));
  static_assert(!kortex::detail::is_runtime_name("Podman") && !kortex::detail::is_runtime_name("") &&
                !kortex::detail::is_runtime_name("-x") && !kortex::detail::is_runtime_name("a_b") &&
                !kortex::detail::is_runtime_name("abcdefghijklmnopqrstuvwxyz-0123456789"));
  static_assert(kortex::detail::is_plain_text("one line") && !kortex::detail::is_plain_text("a \"b\"") &&
                !kortex::detail::is_plain_text("a\nb"));
  BOOST_TEST(true);
}

BOOST_AUTO_TEST_SUITE_END()
