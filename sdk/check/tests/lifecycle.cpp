// From create() to remove(), and each of them again (R9). Every operation is a process of its own, so that what a plugin
// only remembers is lost (R10).
#include <sys/types.h>

#include <algorithm>
#include <fstream>
#include <initializer_list>

#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

/// It emitted this instance, once, in one of these states.
const Emitted& expect_emitted(const Instance& instance, const Outcome& outcome, std::initializer_list<kortex_state> states) {
  expect_ok(outcome);
  expect(outcome.emitted.size() == 1, outcome.function + "() emitted " + std::to_string(outcome.emitted.size()) + " instances, not one");
  const Emitted& emitted = outcome.emitted.front();
  expect_equal("the key that " + outcome.function + "() emitted", emitted.key.value_or("(NULL)"), instance.key());
  expect(emitted.id && !emitted.id->empty(), outcome.function + "() emitted no id");
  if (!instance.id().empty()) expect_equal("the id that " + outcome.function + "() emitted", *emitted.id, instance.id());
  if (std::find(states.begin(), states.end(), emitted.state) == states.end())
    fail(outcome.function + "() emitted the state " + state_name(emitted.state) + ", not " + state_name(*states.begin()));
  return emitted;
}

constexpr std::initializer_list<kortex_state> not_started{KORTEX_STATE_STOPPED, KORTEX_STATE_CREATED};
constexpr std::initializer_list<kortex_state> up{KORTEX_STATE_RUNNING};
constexpr std::initializer_list<kortex_state> down{KORTEX_STATE_STOPPED, KORTEX_STATE_FAILED, KORTEX_STATE_CREATED};

void creates(Bench& bench) {
  Instance& instance = bench.instance();
  (void)expect_emitted(instance, instance.create(), not_started);
  (void)expect_emitted(instance, instance.inspect(), not_started);
}

void creates_again(Bench& bench) {
  Instance& instance = bench.instance();
  (void)expect_emitted(instance, instance.create(), not_started);
  const std::string id = instance.id();
  (void)expect_emitted(instance, instance.create(), not_started);
  expect_equal("the id of the same key", instance.id(), id);
  expect_ok(instance.start());
  (void)expect_emitted(instance, instance.create(), up);
}

void finds_an_instance_by_its_key(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  const std::string id = instance.id();
  instance.set_id("");  // a host that died before it could keep it
  const Outcome found = instance.inspect();
  instance.set_id(id);
  (void)expect_emitted(instance, found, not_started);
}

void starts_and_stops(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  (void)expect_emitted(instance, instance.start(), up);
  (void)expect_emitted(instance, instance.inspect(), up);
  (void)expect_emitted(instance, instance.stop(), down);
  (void)expect_emitted(instance, instance.inspect(), down);
}

void starts_again(Bench& bench) {
  Instance& instance = bench.running();
  if (!bench.arguments().pretends) (void)instance.await_sign("started");
  (void)expect_emitted(instance, instance.start(), up);
  (void)expect_emitted(instance, instance.inspect(), up);
  if (!bench.arguments().pretends)
    expect_equal("agents after a second start()", static_cast<std::int64_t>(instance.agent_starts()), 1);
}

void stops_again(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  (void)expect_emitted(instance, instance.stop(), down);  // it never ran
  expect_ok(instance.start());
  expect_ok(instance.stop());
  (void)expect_emitted(instance, instance.stop(), down);
  (void)expect_emitted(instance, instance.stop(0, KORTEX_STOP_KILL), down);
}

void starts_after_a_stop(Bench& bench) {
  Instance& instance = bench.running();
  expect_ok(instance.stop());
  (void)expect_emitted(instance, instance.start(), up);
  (void)expect_emitted(instance, instance.inspect(), up);
  (void)expect_emitted(instance, instance.stop(-1, KORTEX_STOP_KILL), down);
}

void removes(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  expect_ok(instance.remove());
  expect_equal("the state after remove()", state_name(instance.state()), "gone");
}

void removes_again(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.remove());  // there never was one
  expect_ok(instance.create());
  expect_ok(instance.remove());
  expect_ok(instance.remove());
  expect_ok(instance.remove(KORTEX_REMOVE_FORCE));
}

void keeps_what_runs_from_being_removed(Bench& bench) {
  Instance& instance = bench.running();
  const Outcome refused = instance.remove();
  expect(refused.signal == 0 && refused.status == KORTEX_E_STATE, "a running instance: remove() without force must return STATE; " + refused.what_happened());
  expect_equal("the state afterwards", state_name(instance.state()), "running");
}

/// A process that has ended and waits for its parent is none.
bool is_alive(pid_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  if (!std::getline(file, line)) return false;
  const std::size_t name_end = line.rfind(')');
  return name_end != std::string::npos && name_end + 2 < line.size() && line[name_end + 2] != 'Z' && line[name_end + 2] != 'X';
}

void removes_what_runs_by_force(Bench& bench) {
  Instance& instance = bench.running();
  const Outcome running = instance.inspect();
  expect_ok(running);
  const auto pid = static_cast<pid_t>(running.emitted.empty() ? 0 : running.emitted.front().pid);
  expect_ok(instance.remove(KORTEX_REMOVE_FORCE));
  expect_equal("the state after remove() by force", state_name(instance.state()), "gone");
  expect(pid <= 0 || !is_alive(pid), "process " + std::to_string(pid) + ", which inspect() told of, is still there after remove()");
}

void removed_keys_leave_nothing_to_find(Bench& bench) {
  Instance& instance = bench.running();
  expect_ok(instance.remove(KORTEX_REMOVE_FORCE));
  const Outcome again = instance.create();
  (void)expect_emitted(instance, again, not_started);
}

void inspects_many_at_once(Bench& bench) {
  Instance& created = bench.instance();
  Instance& never = bench.instance();
  Instance& running = bench.running();
  expect_ok(created.create());
  const std::vector<Instance*> asked{&never, &created, &running};
  const Outcome outcome = Instance::inspect_all(bench, asked);
  expect_ok(outcome);
  expect_equal("instances that inspect() of three emitted", static_cast<std::int64_t>(outcome.emitted.size()), 3);
  for (const Instance* instance : asked) {
    const auto is_it = [&](const Emitted& emitted) { return emitted.key == instance->key(); };
    expect(std::count_if(outcome.emitted.begin(), outcome.emitted.end(), is_it) == 1, "inspect() did not emit each key once");
    const kortex_state state = std::find_if(outcome.emitted.begin(), outcome.emitted.end(), is_it)->state;
    if (instance == &never) expect_equal("the state of what never was", state_name(state), "gone");
    if (instance == &running) expect_equal("the state of what runs", state_name(state), "running");
    if (instance == &created && state != KORTEX_STATE_STOPPED) expect_equal("the state of what was created", state_name(state), "created");
  }
}

void inspects_none(Bench& bench) {
  const Outcome outcome = Instance::inspect_all(bench, {});
  expect_ok(outcome);
  expect_equal("instances that inspect() of none emitted", static_cast<std::int64_t>(outcome.emitted.size()), 0);
}

void keeps_instances_apart(Bench& bench) {
  Instance& first = bench.instance();
  Instance& second = bench.instance();
  expect_ok(first.create());
  expect_ok(second.create());
  expect(first.id() != second.id(), "two keys have one id, " + in_quotes(first.id()));
  expect_ok(first.start());
  expect(second.state() != KORTEX_STATE_RUNNING, "starting one instance started another");
  expect_ok(second.start());
  expect_ok(first.stop());
  expect_equal("the state of another when one was stopped", state_name(second.state()), "running");
  expect_ok(first.remove());
  expect_equal("the state of another when one was removed", state_name(second.state()), "running");
}

void takes_any_name_and_a_long_directory(Bench& bench) {
  Wish wish;
  wish.name = "an 'odd' \"n\\ame\" $(x) \xc3\xa4\xe2\x82\xac & co";
  wish.long_state_dir = true;
  Instance& instance = bench.instance(wish);
  (void)expect_emitted(instance, instance.create(), not_started);
  (void)expect_emitted(instance, instance.start(), up);
  (void)expect_emitted(instance, instance.stop(), down);
  expect_ok(instance.remove());
}

constexpr Test table[] = {
    {.part = "core", .name = "creates", .rule = "create() emits the instance, not yet running", .needs = need_backend, .run = creates},
    {.part = "core", .name = "creates-again", .rule = "R9: create() of the same key returns the instance there is", .needs = need_backend, .run = creates_again},
    {.part = "core", .name = "finds-an-instance-by-its-key", .rule = "the key is enough, whoever died before the id was kept", .needs = need_backend, .run = finds_an_instance_by_its_key},
    {.part = "core", .name = "starts-and-stops", .rule = "start() and stop() emit the instance as it is then", .needs = need_backend, .run = starts_and_stops},
    {.part = "core", .name = "starts-again", .rule = "R9: start() of a running one returns OK and starts nothing", .needs = need_backend, .run = starts_again},
    {.part = "core", .name = "stops-again", .rule = "R9: stop() of a stopped one returns OK", .needs = need_backend, .run = stops_again},
    {.part = "core", .name = "starts-after-a-stop", .rule = "a stopped instance can be started", .needs = need_backend, .run = starts_after_a_stop},
    {.part = "core", .name = "removes", .rule = "remove() of a stopped one leaves nothing", .needs = need_backend, .run = removes},
    {.part = "core", .name = "removes-again", .rule = "R9: remove() of a missing one returns OK", .needs = need_backend, .run = removes_again},
    {.part = "core", .name = "keeps-what-runs-from-being-removed", .rule = "remove() without force of a running one: STATE", .needs = need_backend, .run = keeps_what_runs_from_being_removed},
    {.part = "core", .name = "removes-what-runs-by-force", .rule = "KORTEX_REMOVE_FORCE", .needs = need_backend, .run = removes_what_runs_by_force},
    {.part = "core", .name = "makes-a-removed-one-anew", .rule = "nothing of a removed instance is found by its key", .needs = need_backend, .run = removed_keys_leave_nothing_to_find},
    {.part = "core", .name = "inspects-many-at-once", .rule = "inspect() emits exactly one instance per ref, GONE where missing", .needs = need_backend, .run = inspects_many_at_once},
    {.part = "core", .name = "inspects-none", .rule = "inspect() of no refs emits nothing", .needs = need_backend, .run = inspects_none},
    {.part = "core", .name = "keeps-instances-apart", .rule = "operations change the instance of their key only", .needs = need_backend, .run = keeps_instances_apart},
    {.part = "core", .name = "takes-any-name-and-a-long-directory", .rule = "kortex_ref: any UTF-8 name; a state_dir longer than a socket address", .needs = need_backend, .run = takes_any_name_and_a_long_directory},
};

}  // namespace

const std::span<const Test> lifecycle_tests = table;

}  // namespace kortex::check
