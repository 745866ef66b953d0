// R7: a cancelled operation, or one whose deadline has passed, returns soon, and leaves what can be inspected and repeated.
#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

using namespace std::chrono_literals;

/// A plugin looks every 100 ms; the rest is for machines that are busy.
constexpr std::chrono::milliseconds patience = 3s;
/// A moment in which an operation gets to where it waits. Being early makes a test weaker, never wrong.
constexpr std::chrono::milliseconds moment = 150ms;

void expect_given_up(const Outcome& outcome, bool may_have_been_done) {
  if (outcome.signal != 0 || !outcome.status) fail(outcome.what_happened());
  if (may_have_been_done && outcome.status == KORTEX_OK) return;
  expect(outcome.status == KORTEX_E_CANCELLED || outcome.status == KORTEX_E_TIMEOUT,
         "expected CANCELLED" + std::string(may_have_been_done ? " or OK" : "") + "; " + outcome.what_happened());
}

/// Cancels it after a moment and expects it to end; the same with a deadline is the caller's.
Outcome cancelled(Operation& operation) {
  if (operation.wait(moment)) return operation.finish();
  operation.cancel();
  if (!operation.wait(patience)) {
    operation.kill();
    fail("it goes on for more than 3 s after it was cancelled");
  }
  return operation.finish();
}

/// Whatever happened, it can be seen, and done again.
void expect_repeatable(Instance& instance) {
  (void)instance.state();
  expect_ok(instance.create());
  expect_ok(instance.start());
  expect_equal("the state after what was cancelled and done again", state_name(instance.state()), "running");
  expect_ok(instance.stop(0, KORTEX_STOP_KILL));
  expect_ok(instance.remove());
}

void can_be_cancelled_before_it_begins(Bench& bench) {
  Instance& instance = bench.instance();
  const OperationSettings settings{.function = "", .cancelled = true};
  expect_given_up(instance.create(settings), true);
  expect_ok(instance.create());
  expect_given_up(instance.start(settings), true);
  expect_given_up(instance.stop(2000, 0, settings), true);
  expect_given_up(instance.remove(KORTEX_REMOVE_FORCE, settings), true);
  expect_repeatable(instance);
}

void can_be_cancelled_while_it_starts(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  Operation start = instance.begin_start();
  (void)start.wait(5ms);
  start.cancel();
  expect(start.wait(patience * 5), "start() goes on for more than 15 s after it was cancelled");
  expect_given_up(start.finish(), true);
  expect_repeatable(instance);
}

void can_be_killed_while_it_starts(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  for (const std::chrono::milliseconds after : {2ms, 10ms, 40ms, 150ms, 400ms}) {
    Operation start = instance.begin_start();
    (void)start.wait(after);
    start.kill();
    (void)start.finish();
  }
  expect_repeatable(instance);
}

void gives_up_stopping(Bench& bench) {
  Instance& instance = bench.running({.agent_words = {"stubborn"}});
  (void)instance.await_sign("started");
  Operation stop = instance.begin_stop(60000);
  expect_given_up(cancelled(stop), false);
  (void)instance.state();
  expect_ok(instance.stop(0, KORTEX_STOP_KILL));
}

void keeps_its_deadline(Bench& bench) {
  Instance& instance = bench.running({.agent_words = {"stubborn"}});
  (void)instance.await_sign("started");
  Operation stop = instance.begin_stop(60000, 500ms);
  // As the host does, finish() cancels at the deadline: either way out is fine, going on is not.
  const Outcome outcome = stop.finish();
  expect_given_up(outcome, false);
  expect(outcome.elapsed_ms < 500 + patience.count(), "stop() went on for " + std::to_string(outcome.elapsed_ms) + " ms with a deadline of 500");
  (void)instance.state();
  expect_ok(instance.stop(0, KORTEX_STOP_KILL));
}

void cancels_a_program(Bench& bench) {
  Instance& instance = bench.running();
  Session session = instance.begin({.argv = {"wait", (instance.signs() / "waits").string()}});
  const std::string pid = instance.await_sign("waits");
  expect_given_up(cancelled(session.operation), false);
  while (instance.run({.argv = {"alive", pid}}).outcome.exit->code == 0) continue;  // it is being killed
}

void ends_the_program_when_the_host_dies(Bench& bench) {
  Instance& instance = bench.running();
  std::string pid;
  {
    Session session = instance.begin({.argv = {"wait", (instance.signs() / "waits").string()}});
    pid = instance.await_sign("waits");
    session.operation.kill();
    (void)session.operation.finish();
  }
  while (instance.run({.argv = {"alive", pid}}).outcome.exit->code == 0) continue;
}

void cancels_waiting(Bench& bench) {
  Instance& instance = bench.running();
  Operation wait = instance.begin_wait();
  expect_given_up(cancelled(wait), false);
  Operation timed = instance.begin_wait(300ms);
  expect_given_up(timed.finish(), false);
  expect_equal("the state after a wait() that was given up", state_name(instance.state()), "running");
}

void cancels_following(Bench& bench) {
  Instance& instance = bench.running();
  Operation follow = instance.begin_logs(KORTEX_LOGS_FOLLOW);
  const Outcome outcome = cancelled(follow);
  expect_given_up(outcome, false);
}

constexpr Test table[] = {
    {.part = "core", .name = "can-be-cancelled-before-it-begins", .rule = "R7", .needs = need_backend, .run = can_be_cancelled_before_it_begins},
    {.part = "core", .name = "can-be-cancelled-while-it-starts", .rule = "R7", .needs = need_backend, .run = can_be_cancelled_while_it_starts},
    {.part = "core", .name = "can-be-killed-while-it-starts", .rule = "R10: whatever is left half done can be finished or removed", .needs = need_backend, .run = can_be_killed_while_it_starts},
    {.part = "core", .name = "gives-up-stopping", .rule = "R7: stop() waits for the agent no longer than it is wanted", .needs = need_backend | need_agent, .run = gives_up_stopping},
    {.part = "core", .name = "keeps-its-deadline", .rule = "R7: deadline_ms is treated alike", .needs = need_backend | need_agent, .run = keeps_its_deadline},
    {.part = "exec", .name = "is-cancelled-with-its-program", .rule = "R7; the program is ended, not left behind", .needs = need_backend | need_exec, .run = cancels_a_program},
    {.part = "exec", .name = "ends-the-program-when-the-host-dies", .rule = "without the host at the other end the program is ended", .needs = need_backend | need_exec, .run = ends_the_program_when_the_host_dies},
    {.part = "wait", .name = "is-cancelled", .rule = "R7", .needs = need_backend | need_wait, .run = cancels_waiting},
    {.part = "logs", .name = "is-cancelled-while-it-follows", .rule = "R7", .needs = need_backend | need_logs, .run = cancels_following},
};

}  // namespace

const std::span<const Test> cancelling_tests = table;

}  // namespace kortex::check
