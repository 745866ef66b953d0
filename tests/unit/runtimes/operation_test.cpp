#include <kortex/runtime.h>
#include <unistd.h>

#include <chrono>

#include "fixture.hpp"

using namespace kortex::host;
using namespace kortex::test;
using namespace std::chrono_literals;

namespace {

Error create_error(const std::string& fault) {
  Misbehaving plugin(fault);
  return error_of([&] { static_cast<void>(plugin.create()); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(operation)

BOOST_AUTO_TEST_CASE(hands_over_what_the_plugin_emits) {
  Misbehaving plugin("");
  const Instance instance = plugin.create();
  BOOST_TEST((instance.state == State::created));
  BOOST_TEST(instance.key == "key-1");
  BOOST_TEST(instance.id == "an-id");
  BOOST_TEST(instance.status == "fine");
  BOOST_TEST(instance.details_json == "{\"a\": 1}");
  BOOST_TEST(instance.exit_code == -1);
}

BOOST_AUTO_TEST_CASE(names_the_runtime_and_the_function_that_crashed) {
  const Error error = create_error("crash");
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 crashed in create (segmentation fault)");
  BOOST_TEST(error.hint() == "this is a bug in the runtime; 'kortex-cli runtime info misbehaving' tells who can mend it");
  BOOST_TEST(error.detail().find("last words\n") != std::string::npos);
  BOOST_TEST(status_of(error) == 1);
  BOOST_TEST(create_error("abort").message() == "runtime 'misbehaving' 1.2.3 crashed in create (aborted)");
  BOOST_TEST(create_error("crash-in-open").message() == "runtime 'misbehaving' 1.2.3 crashed in open (segmentation fault)");
  BOOST_TEST(create_error("killed").message() ==
             "runtime 'misbehaving' 1.2.3 was killed in create (perhaps the machine ran out of memory)");
}

BOOST_AUTO_TEST_CASE(reports_exit_and_exceptions_as_bugs) {
  BOOST_TEST(create_error("exit").message() == "runtime 'misbehaving' 1.2.3 ended the process in create (bug in the runtime)");
  BOOST_TEST(create_error("throw").message() ==
             "runtime 'misbehaving' 1.2.3 threw an exception out of create: oh dear (bug in the runtime)");
  BOOST_TEST(create_error("throw-past-noexcept").message() ==
             "runtime 'misbehaving' 1.2.3 threw an exception out of create: dear me (bug in the runtime)");
  BOOST_TEST(create_error("throw-int").message() ==
             "runtime 'misbehaving' 1.2.3 threw an exception out of create (bug in the runtime)");
}

BOOST_AUTO_TEST_CASE(reports_an_error_without_a_reason_as_a_bug) {
  const Error error = create_error("silent-error");
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 returned 5 from create without saying why (bug in the runtime)");
  BOOST_TEST(status_of(error) == 5);
}

BOOST_AUTO_TEST_CASE(passes_on_what_the_plugin_says) {
  Misbehaving plugin("not-found");
  try {
    static_cast<void>(plugin.create());
    BOOST_FAIL("no error was thrown");
  } catch (const NotFound& error) {
    BOOST_TEST(error.message() == "no image 'x'");
    BOOST_TEST(error.hint() == "pull it");
    BOOST_TEST(error.detail() == "404");
    BOOST_TEST(status_of(error) == 1);
  }
  const Error error = create_error("unavailable");
  BOOST_TEST(error.message() == "not?running?[31m");
  BOOST_TEST(error.hint() == "");
  BOOST_TEST(error.detail() == "raw\ntext");
  BOOST_TEST(status_of(error) == 4);
}

namespace {

/// assess(), create() and start() in one child.
Runtime::Founded found(const std::string& fault, const std::function<void(const Runtime::Assessment&)>& enlisting = {}) {
  Misbehaving plugin(fault);
  Runtime::Founding founding;
  founding.settle = [&](const Runtime::Assessment&) { return plugin.workspace; };
  founding.enlist = [&](const Runtime::Assessment& assessment) {
    if (enlisting) enlisting(assessment);
    return Runtime::Founding::Enlisted{plugin.ref, -1, {}};
  };
  founding.start = true;
  founding.assess_timeout = founding.create_timeout = founding.start_timeout = 20s;
  return plugin.runtime.found(plugin.workspace, {{"fault", fault}}, "/", founding);
}

}  // namespace

BOOST_AUTO_TEST_CASE(asks_what_was_registered_before_anything_is_created) {
  bool asked = false;
  BOOST_TEST(found("", [&](const Runtime::Assessment& assessment) {
               asked = true;
               BOOST_TEST(assessment.description.name == "misbehaving");
             }).created.id == "an-id");
  BOOST_TEST(asked);
  const Error refused = error_of([] { static_cast<void>(found("crash", [](const Runtime::Assessment&) { throw Error(ErrorKind::refused, "the name is taken"); })); });
  BOOST_TEST(refused.message() == "the name is taken");
}

BOOST_AUTO_TEST_CASE(tells_a_failed_create_from_a_failed_start_where_both_are_one_call) {
  const auto made = [](const std::string& fault) { return found(fault); };
  const Error refused = error_of([&] { static_cast<void>(made("not-found")); });
  BOOST_TEST(refused.message() == "no image 'x'");
  BOOST_TEST(refused.hint() == "pull it");
  BOOST_TEST(error_of([&] { static_cast<void>(made("crash")); }).message() == "runtime 'misbehaving' 1.2.3 crashed in create (segmentation fault)");
  BOOST_TEST(error_of([&] { static_cast<void>(made("none")); }).message() ==
             "runtime 'misbehaving' 1.2.3 reported no instance in create (bug in the runtime)");
  const Runtime::Founded fine = made("");
  BOOST_TEST(fine.created.id == "an-id");
}

BOOST_AUTO_TEST_CASE(counts_the_instances) {
  BOOST_TEST(create_error("none").message() == "runtime 'misbehaving' 1.2.3 reported no instance in create (bug in the runtime)");
  BOOST_TEST(create_error("two").message() ==
             "runtime 'misbehaving' 1.2.3 reported 2 instances in create where one is expected (bug in the runtime)");
  BOOST_TEST(create_error("other-key").message() ==
             "runtime 'misbehaving' 1.2.3 reported instance 'other' in create instead of 'key-1' (bug in the runtime)");
  BOOST_TEST(create_error("null-emit").message() == "emit() was called with a damaged instance");
}

BOOST_AUTO_TEST_CASE(makes_text_fit) {
  Misbehaving plugin("garbage");
  const Instance instance = plugin.create();
  BOOST_TEST((instance.state == State::unknown));
  BOOST_TEST(instance.status.starts_with("bell? esc?[2J bad?? c1? ok\xc3\xa9 xxx"));
  BOOST_TEST(instance.status.size() <= 4096u);
  BOOST_TEST(instance.details_json == "");
  BOOST_TEST_REQUIRE(plugin.logged.size() == 1u);
  BOOST_TEST(plugin.logged[0] ==
             "runtime 'misbehaving' 1.2.3 reported details of 'key-1' that are not a JSON object of at most 64 KiB: dropped");
}

// What would kill everybody, or us, is not believed.
BOOST_AUTO_TEST_CASE(kills_no_process_group_that_is_none_of_a_program) {
  for (const std::string& group : {std::string("1"), std::string("0"), std::string("-1"), std::string("4294967297"), std::to_string(::getpgrp())})
    BOOST_TEST(create_error("kills-" + group).message() == "runtime 'misbehaving' 1.2.3 damaged the process it runs in during create (bug in the runtime)");
}

BOOST_AUTO_TEST_CASE(keeps_its_result_when_close_crashes) {
  Misbehaving plugin("crash-in-close");
  BOOST_TEST(plugin.create().id == "an-id");
  BOOST_TEST_REQUIRE(plugin.logged.size() == 1u);
  BOOST_TEST(plugin.logged[0] == "runtime 'misbehaving' 1.2.3 did not end properly in close (bug in the runtime)");
}

BOOST_AUTO_TEST_CASE(cancels_at_the_deadline) {
  Misbehaving plugin("hang");
  const Error error = error_of([&] { static_cast<void>(plugin.create(200ms)); });
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 did not finish create within 200 ms");
  BOOST_TEST(status_of(error) == 6);
}

BOOST_AUTO_TEST_CASE(kills_a_deaf_plugin_two_seconds_after_the_deadline) {
  Misbehaving plugin("deaf");
  const auto begin = std::chrono::steady_clock::now();
  const Error error = error_of([&] { static_cast<void>(plugin.create(1000ms)); });
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 did not finish create within 1 s");
  BOOST_TEST(status_of(error) == 6);
  const auto took = std::chrono::steady_clock::now() - begin;
  BOOST_TEST((took >= 3s && took < 15s));
}

BOOST_AUTO_TEST_CASE(ends_the_programs_of_a_cancelled_call) {
  Misbehaving plugin("run-forever");
  const Error error = error_of([&] { static_cast<void>(plugin.create(200ms)); });
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 did not finish create within 200 ms");
}

BOOST_AUTO_TEST_CASE(says_which_program_is_not_installed) {
  const Error error = create_error("not-installed");
  BOOST_TEST(error.message() == "'no-such-program-anywhere' is not installed: it is nowhere in PATH");
  BOOST_TEST(status_of(error) == 4);
}

BOOST_AUTO_TEST_CASE(probes_without_throwing) {
  Misbehaving plugin("");
  BOOST_TEST(plugin.runtime.probe({}, 20s).usable);
  const ProbeResult crashed = plugin.runtime.probe({{"fault", "crash"}}, 20s);
  BOOST_TEST(!crashed.usable);
  BOOST_TEST(crashed.reason == "runtime 'misbehaving' 1.2.3 crashed in probe (segmentation fault)");
  const auto all = probe_all({plugin.runtime, plugin.runtime}, 20s);
  BOOST_TEST((all.size() == 2 && all[0].usable && all[1].usable));
}

BOOST_AUTO_TEST_CASE(assesses_in_one_go) {
  Misbehaving plugin("");
  const auto assessment = plugin.runtime.assess(plugin.workspace, {{"fault", "x"}}, "/", 20s);
  BOOST_TEST((assessment.guarantees.isolation == Isolation::container));
  BOOST_TEST(assessment.guarantees.enforces == KORTEX_GUARANTEE_TTY + 0u);
  BOOST_TEST_REQUIRE(assessment.guarantees.exposure.size() == 1u);
  BOOST_TEST(assessment.guarantees.exposure[0] == "the ?[31mnetwork");
  BOOST_TEST((assessment.options.global == KeyValues{{"fault", "x"}}));
  BOOST_TEST(assessment.description.execs);
  BOOST_TEST(!assessment.description.terminals);
  const Error error = error_of([&] { static_cast<void>(plugin.runtime.assess(plugin.workspace, {{"falt", "x"}}, "/", 20s)); });
  BOOST_TEST(error.message() == "runtime 'misbehaving' has no option 'falt'");
  BOOST_TEST(error.hint() == "did you mean 'fault'?");
  BOOST_TEST(status_of(error) == 2);
}

BOOST_AUTO_TEST_CASE(refuses_what_the_runtime_does_not_have) {
  Misbehaving plugin("");
  const Error error = error_of([&] { static_cast<void>(plugin.runtime.wait(plugin.ref, plugin.workspace, 1s)); });
  BOOST_TEST(error.message() == "runtime 'misbehaving' 1.2.3 does not support wait");
  BOOST_TEST(status_of(error) == 7);
}

BOOST_AUTO_TEST_CASE(streams_logs_and_stops_when_the_reader_has_gone) {
  Misbehaving plugin("");
  std::size_t bytes = 0;
  plugin.runtime.logs(plugin.ref, plugin.workspace, -1, false, [&](int stream, std::string_view text) {
    BOOST_TEST_REQUIRE(stream == 1);
    bytes += text.size();
  });
  BOOST_TEST(bytes == 10000000u);
  BOOST_CHECK_THROW(plugin.runtime.logs(plugin.ref, plugin.workspace, -1, false,
                                        [](int, std::string_view) { throw std::runtime_error("broken pipe"); }),
                    std::runtime_error);
}

BOOST_AUTO_TEST_CASE(notices_a_plugin_that_was_replaced_by_something_else) {
  Misbehaving plugin("");
  std::filesystem::resize_file(plugin.runtime.file().path, 100);
  const Error error = error_of([&] { static_cast<void>(plugin.create()); });
  BOOST_TEST(error.message() ==
             "cannot use runtime 'misbehaving' from '" + plugin.runtime.file().path.string() + "': the file is truncated");
  BOOST_TEST(status_of(error) == 4);
}

BOOST_AUTO_TEST_SUITE_END()
