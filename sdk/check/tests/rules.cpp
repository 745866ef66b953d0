// Rules that hold for every operation: how it fails, what it leaves of the process, what it may do with memory.
#include <poll.h>

#include <cerrno>
#include <functional>
#include <thread>

#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

// R5

void expect_failed_well(const Outcome& outcome, std::initializer_list<kortex_status> codes) {
  if (outcome.signal != 0 || !outcome.status) fail(outcome.what_happened());
  bool known = false;
  for (const kortex_status code : codes) known = known || outcome.status == code;
  expect(known, outcome.what_happened() + "; expected " + status_name(*codes.begin()));
  const std::string called = outcome.function + "()";
  expect(outcome.failures.size() == 1, called + " returned " + status_name(*outcome.status) + " after " +
                                           std::to_string(outcome.failures.size()) + " calls of fail(), not one");
  const Failure& failure = outcome.failures.front();
  expect(failure.code == outcome.status, called + " told fail() " + status_name(failure.code) + " and returned " + status_name(*outcome.status));
  expect(!failure.message.empty(), called + " failed with an empty message");
  expect(failure.message.find('\n') == std::string::npos, called + " failed with a message of several lines: " + in_quotes(failure.message));
  expect(failure.message.back() != '.', called + " failed with a message that ends in a dot: " + in_quotes(failure.message));
  expect(failure.hint.find('\n') == std::string::npos, called + " gave a hint of several lines: " + in_quotes(failure.hint));
}

void fails_with_one_reason(Bench& bench) {
  Instance& instance = bench.running();
  expect_failed_well(instance.remove(), {KORTEX_E_STATE});
  Instance& never = bench.instance();
  expect_failed_well(never.start(), {KORTEX_E_NOT_FOUND});
}

void knows_when_an_instance_is_gone(Bench& bench) {
  Instance& instance = bench.running();
  instance.vanish();
  expect_equal("the state of an instance that was deleted behind its back", state_name(instance.state()), "gone");
  expect_failed_well(instance.start(), {KORTEX_E_NOT_FOUND});
  const Outcome stopped = instance.stop();
  if (!stopped.ok()) expect_failed_well(stopped, {KORTEX_E_NOT_FOUND});
  const std::uint32_t offered = bench.survey().offered;
  if ((offered & need_exec) != 0) expect_failed_well(instance.run({.argv = {"true"}}).outcome, {KORTEX_E_NOT_FOUND, KORTEX_E_STATE});
  expect_ok(instance.remove());
}

// R6, R8

/// Every operation that the plugin offers, once, with what came of it.
std::vector<Outcome> tour(Bench& bench) {
  std::vector<Outcome> all;
  Instance& instance = bench.instance();
  const std::uint32_t offered = bench.survey().offered;
  all.push_back(instance.guarantees());
  all.push_back(instance.create());
  all.push_back(instance.start());
  all.push_back(instance.inspect());
  if ((offered & need_exec) != 0) all.push_back(instance.run({.argv = {"true"}}).outcome);
  if ((offered & need_terminal) != 0) all.push_back(instance.run({.argv = {"true"}, .terminal_function = true}).outcome);
  if ((offered & need_logs) != 0) all.push_back(instance.logs());
  if ((offered & need_list) != 0)
    all.push_back(bench.perform({.function = "list"},
                                [](Child& child) { return child.sealed([&] { return child.plugin.list(child.runtime, child.call); }); }));
  all.push_back(instance.stop());
  if ((offered & need_wait) != 0) all.push_back(instance.wait());
  all.push_back(instance.remove());
  for (const Outcome& outcome : all)
    if (outcome.signal != 0 || !outcome.status) fail(outcome.what_happened());
  return all;
}

void expect_no_complaints(Bench& bench, const std::string& rule) {
  for (const Outcome& outcome : tour(bench))
    for (const std::string& complaint : outcome.complaints)
      if (complaint.rfind(rule, 0) == 0) fail(outcome.function + "(): " + complaint);
}

void leaves_the_process_as_it_was(Bench& bench) { expect_no_complaints(bench, "R8"); }
void leaves_no_threads(Bench& bench) { expect_no_complaints(bench, "R6"); }

void prints_nothing(Bench& bench) {
  for (const Outcome& outcome : tour(bench))
    expect(outcome.noise.empty(), outcome.function + "() wrote to descriptor 1 or 2: " + in_quotes(outcome.noise));
}

void may_be_called_from_any_thread(Bench& bench) {
  Instance& instance = bench.instance();
  const Outcome outcome = bench.perform({.function = "inspect"}, [&](Child& child) {
    auto** refs = child.arena.array<const kortex_ref*>(2);
    auto* ref = child.arena.make<kortex_ref>();
    ref->key = child.arena.copy(instance.key());
    ref->name = child.arena.copy("check");
    ref->state_dir = child.arena.copy(instance.state_dir().string());
    refs[0] = ref;
    kortex_status status = KORTEX_E_INTERNAL;
    child.arena.seal();
    std::thread([&] { status = child.plugin.inspect(child.runtime, child.call, refs, 1); }).join();
    return status;
  });
  expect_ok(outcome);
  expect_equal("instances emitted from another thread", static_cast<std::int64_t>(outcome.emitted.size()), 1);
}

void does_several_things_at_once(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  const Outcome outcome = bench.perform({.function = "inspect"}, [&](Child& child) {
    auto** refs = child.arena.array<const kortex_ref*>(2);
    auto* ref = child.arena.make<kortex_ref>();
    ref->key = child.arena.copy(instance.key());
    ref->id = child.arena.copy(instance.id());
    ref->name = child.arena.copy("check");
    ref->state_dir = child.arena.copy(instance.state_dir().string());
    refs[0] = ref;
    child.arena.seal();
    std::vector<kortex_status> statuses(8, KORTEX_E_INTERNAL);
    std::vector<std::thread> threads;
    for (kortex_status& status : statuses)
      threads.emplace_back([&] {
        for (int i = 0; i < 10; ++i)
          if ((status = child.plugin.inspect(child.runtime, child.call, refs, 1)) != KORTEX_OK) return;
      });
    for (std::thread& thread : threads) thread.join();
    for (const kortex_status status : statuses)
      if (status != KORTEX_OK) return status;
    return static_cast<kortex_status>(KORTEX_OK);
  });
  expect_ok(outcome);
  expect_equal("instances emitted by eight threads", static_cast<std::int64_t>(outcome.emitted.size()), 80);
}

// R2, R3, R4

void keeps_no_pointer_and_changes_no_argument(Bench& bench) {
  // The arguments are read-only during an operation and gone afterwards, when close() is called: else it crashes there.
  for (const Outcome& outcome : tour(bench)) expect(outcome.signal == 0, outcome.what_happened());
}

void takes_structs_of_a_newer_host(Bench& bench) {
  Wish wish;
  wish.newer_host = true;
  Instance& instance = bench.instance(wish);
  expect_ok(instance.guarantees());
  expect_ok(instance.create());
  expect_ok(instance.start());
  const Outcome seen = instance.inspect();
  expect_ok(seen);
  expect(seen.emitted.size() == 1 && seen.emitted[0].state == KORTEX_STATE_RUNNING, "with longer structs the instance is not seen to run");
  expect_ok(instance.stop());
  expect_ok(instance.remove());
}

bool is_utf8(const std::string& text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto first = static_cast<unsigned char>(text[at]);
    const std::size_t length = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : first < 0xF5 ? 4 : 0;
    if (length == 0 || at + length > text.size()) return false;
    for (std::size_t i = 1; i < length; ++i)
      if ((static_cast<unsigned char>(text[at + i]) & 0xC0) != 0x80) return false;
    at += length;
  }
  return true;
}

void emits_what_can_be_shown(Bench& bench) {
  for (const Outcome& outcome : tour(bench)) {
    for (const std::string& complaint : outcome.complaints)
      if (complaint.rfind("R2", 0) == 0 || complaint.rfind("R3", 0) == 0) fail(outcome.function + "(): " + complaint);
    for (const Emitted& emitted : outcome.emitted) {
      const std::string what = outcome.function + "() emitted ";
      expect(emitted.struct_size >= sizeof(kortex_instance), what + "an instance with a struct_size of " + std::to_string(emitted.struct_size));
      expect(emitted.state >= KORTEX_STATE_UNKNOWN && emitted.state <= KORTEX_STATE_GONE, what + "a state that is none");
      expect(emitted.exit_code >= -1 && emitted.exit_code <= 255, what + "the exit code " + std::to_string(emitted.exit_code));
      for (const auto* text : {&emitted.id, &emitted.name, &emitted.status, &emitted.details})
        expect(!*text || is_utf8(**text), what + "text that is not UTF-8: " + in_quotes(text->value_or("")));
      expect(!emitted.status || emitted.status->find('\n') == std::string::npos, what + "a status of several lines");
      if (emitted.details)
        expect(emitted.details->rfind('{', 0) == 0, what + "details that are no JSON object: " + in_quotes(*emitted.details));
    }
  }
}

constexpr Test failing[] = {
    {.part = "core", .name = "fails-with-one-reason", .rule = "R5: one fail() with the code that is returned, one line, no final dot", .needs = need_backend, .run = fails_with_one_reason},
    {.part = "core", .name = "knows-when-an-instance-is-gone", .rule = "GONE and NOT_FOUND for what was deleted behind its back; remove() OK", .needs = need_backend, .run = knows_when_an_instance_is_gone},
};
constexpr Test process[] = {
    {.part = "core", .name = "leaves-the-process-as-it-was", .rule = "R8: directory, environment, signals, limits, descriptors", .needs = need_backend, .run = leaves_the_process_as_it_was},
    {.part = "core", .name = "prints-nothing", .rule = "R8: descriptors 0, 1 and 2 are the host's", .needs = need_backend, .run = prints_nothing},
    {.part = "core", .name = "leaves-no-threads", .rule = "R6: a plugin's threads do not outlive close()", .needs = need_backend, .run = leaves_no_threads},
    {.part = "core", .name = "may-be-called-from-any-thread", .rule = "R6: the host may call from any thread", .needs = need_backend, .run = may_be_called_from_any_thread},
    {.part = "core", .name = "does-several-things-at-once", .rule = "KORTEX_CAP_CONCURRENT", .needs = need_backend | need_concurrent, .run = does_several_things_at_once},
};
constexpr Test memory[] = {
    {.part = "core", .name = "keeps-no-pointer-and-changes-no-argument", .rule = "R4: what is passed in lives until the function returns", .needs = need_backend, .run = keeps_no_pointer_and_changes_no_argument},
    {.part = "core", .name = "takes-structs-of-a-newer-host", .rule = "R2: struct_size may be larger than it knows", .needs = need_backend, .run = takes_structs_of_a_newer_host},
    {.part = "core", .name = "emits-what-can-be-shown", .rule = "R2, R3: sizes, UTF-8, one line, known states", .needs = need_backend, .run = emits_what_can_be_shown},
};

}  // namespace

const std::span<const Test> failing_tests = failing;
const std::span<const Test> process_tests = process;
const std::span<const Test> memory_tests = memory;

}  // namespace kortex::check
