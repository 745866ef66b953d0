// terminal(), logs(), wait() and list().
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include <algorithm>

#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

using namespace std::chrono_literals;

const std::string detach_keys = "\x10\x11";  // ctrl-p ctrl-q

Execution on_a_terminal() { return {.argv = {}, .terminal_function = true, .tty = true, .rows = 24, .cols = 80, .detach_keys = detach_keys}; }

/// A running instance whose agent answers lines.
Instance& answering(Bench& bench) {
  Instance& instance = bench.running({.agent_words = {"echo"}});
  (void)instance.await_sign("started");
  return instance;
}

void expect_end(Session& session, kortex_end how, int code) {
  const Outcome outcome = session.operation.finish();
  expect_ok(outcome);
  static constexpr const char* names[] = {"EXITED", "DETACHED", "STOPPED"};
  const kortex_end got = outcome.exit->how;
  expect_equal("how the session ended", got >= 0 && got <= 2 ? names[got] : "in no known way", names[how]);
  if (code >= 0) expect_equal("the status at the session's end", outcome.exit->code, code);
}

void runs_a_program(Bench& bench) {
  Instance& instance = bench.running();
  const Instance::Ended ended = instance.run({.argv = {"exit", "7"}, .terminal_function = true});
  expect_ok(ended.outcome);
  expect_equal("the status of terminal()'s program", ended.outcome.exit->code, 7);
}

void shows_the_agents_session(Bench& bench) {
  Session session = answering(bench).begin(on_a_terminal());
  write_all(session.input.get(), "hello\r");
  (void)read_until(session.output.get(), "got <hello>");
}

void passes_on_the_agents_end(Bench& bench) {
  Instance& instance = answering(bench);
  Session session = instance.begin(on_a_terminal());
  write_all(session.input.get(), "here\r");
  (void)read_until(session.output.get(), "got <here>");
  instance.order("exit 5");
  expect_end(session, KORTEX_END_EXITED, 5);
}

void ends_when_the_instance_is_stopped(Bench& bench) {
  Instance& instance = answering(bench);
  Session session = instance.begin(on_a_terminal());
  write_all(session.input.get(), "here\r");
  (void)read_until(session.output.get(), "got <here>");
  expect_ok(instance.stop());
  expect(session.operation.wait(10s), "a session goes on for more than 10 s after its instance was stopped");
  const Outcome outcome = session.operation.finish();
  expect_ok(outcome);
  expect(outcome.exit->how != KORTEX_END_DETACHED, "a session whose instance was stopped ended as DETACHED");
}

void is_refused_where_nothing_runs(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  Session session = instance.begin(on_a_terminal());
  const Outcome outcome = session.operation.finish();
  expect(outcome.signal == 0 && outcome.status == KORTEX_E_STATE, "in an instance that does not run terminal() must return STATE; " + outcome.what_happened());
}

void can_be_left_and_entered_again(Bench& bench) {
  Instance& instance = answering(bench);
  {
    Session session = instance.begin(on_a_terminal());
    write_all(session.input.get(), "remember me\r");
    (void)read_until(session.output.get(), "got <remember me>");
    write_all(session.input.get(), detach_keys);
    expect_end(session, KORTEX_END_DETACHED, -1);
  }
  expect_equal("the state after the user left", state_name(instance.state()), "running");
  Session again = instance.begin(on_a_terminal());
  (void)read_until(again.output.get(), "remember me");  // replayed
  write_all(again.input.get(), "back\r");
  (void)read_until(again.output.get(), "got <back>");
  write_all(again.input.get(), detach_keys);
  expect_end(again, KORTEX_END_DETACHED, -1);
}

void outlives_a_host_that_dies(Bench& bench) {
  Instance& instance = answering(bench);
  {
    Session session = instance.begin(on_a_terminal());
    write_all(session.input.get(), "one\r");
    (void)read_until(session.output.get(), "got <one>");
    session.operation.kill();
    (void)session.operation.finish();
  }
  Session again = instance.begin(on_a_terminal());
  write_all(again.input.get(), "two\r");
  (void)read_until(again.output.get(), "got <two>");
  expect_equal("agents after a host died", static_cast<std::int64_t>(instance.agent_starts()), 1);
}

void can_be_watched_by_two(Bench& bench) {
  Instance& instance = answering(bench);
  Session first = instance.begin(on_a_terminal());
  write_all(first.input.get(), "first\r");
  (void)read_until(first.output.get(), "got <first>");
  Session second = instance.begin(on_a_terminal());
  write_all(second.input.get(), "second\r");
  (void)read_until(second.output.get(), "got <second>");
  (void)read_until(first.output.get(), "got <second>");
}

// logs

void hands_over_what_the_agent_wrote(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  for (const char* line : {"print first line", "print second line", "print third line"}) {
    instance.order(line);
    (void)instance.await_sign("done");
  }
  Outcome outcome = instance.logs();
  while (outcome.ok() && outcome.output.find("third line") == std::string::npos) outcome = instance.logs();
  expect_ok(outcome);
  for (const char* line : {"the agent is here", "first line", "second line"})
    expect(outcome.output.find(line) != std::string::npos, "the logs lack " + in_quotes(line) + ": " + in_quotes(outcome.output));
  const Outcome last = instance.logs(1);
  expect_ok(last);
  expect(last.output.find("third line") != std::string::npos && last.output.find("second line") == std::string::npos,
         "a tail of one line is " + in_quotes(last.output));
}

void keeps_them_after_the_end(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  instance.order("print last words");
  (void)instance.await_sign("done");
  expect_ok(instance.stop());
  const Outcome outcome = instance.logs();
  expect_ok(outcome);
  expect(outcome.output.find("last words") != std::string::npos, "the logs of a stopped agent lack its last words: " + in_quotes(outcome.output));
}

void can_be_asked_of_any_instance(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  expect_ok(instance.logs());
  expect_ok(instance.start());
  expect_ok(instance.logs(0));
  const Outcome timed = instance.logs(5, KORTEX_LOGS_TIMESTAMPS);
  if (timed.status != KORTEX_E_UNSUPPORTED) expect_ok(timed);  // a terminal's output may have no times
}

void follows_until_the_agent_ends(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  Operation follow = instance.begin_logs(KORTEX_LOGS_FOLLOW);
  while (follow.output_so_far().find("the agent is here") == std::string::npos)
    expect(!follow.wait(10ms), "what is written while following is missing: logs() returned while the agent runs");
  instance.order("print while followed");
  (void)instance.await_sign("done");
  instance.order("exit 0");
  expect(follow.wait(20s), "logs() that follows goes on for more than 20 s after the agent has ended");
  const Outcome outcome = follow.finish();
  expect_ok(outcome);
  expect(outcome.output.find("while followed") != std::string::npos, "what was written while following is missing: " + in_quotes(outcome.output));
}

// wait

void returns_at_once_where_nothing_runs(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  const Outcome never = instance.wait({.function = "wait", .deadline = 10s});
  expect_ok(never);
  expect_ok(instance.start());
  expect_ok(instance.stop());
  expect_ok(instance.wait({.function = "wait", .deadline = 10s}));
}

void returns_the_agents_status(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  Operation wait = instance.begin_wait();
  instance.order("exit 9");
  expect(wait.wait(20s), "wait() goes on for more than 20 s after the agent has ended");
  const Outcome outcome = wait.finish();
  expect_ok(outcome);
  expect_equal("the status that wait() returned", outcome.exit->code, 9);
  const Outcome later = instance.wait({.function = "wait", .deadline = 10s});
  expect_ok(later);
  expect(later.exit->code == 9 || later.exit->code == -1, "asked later, wait() returned " + std::to_string(later.exit->code));
}

void returns_when_the_instance_is_stopped(Bench& bench) {
  Instance& instance = bench.running();
  Operation wait = instance.begin_wait();
  (void)wait.wait(100ms);
  expect_ok(instance.stop());
  expect(wait.wait(20s), "wait() goes on for more than 20 s after the instance was stopped");
  expect_ok(wait.finish());
}

// list

Outcome list(const Bench& bench) {
  return bench.perform({.function = "list"}, [](Child& child) { return child.sealed([&] { return child.plugin.list(child.runtime, child.call); }); });
}

std::ptrdiff_t times_listed(const Outcome& outcome, const std::string& key) {
  expect_ok(outcome);
  return std::count_if(outcome.emitted.begin(), outcome.emitted.end(), [&](const Emitted& emitted) { return emitted.key == key; });
}

void lists_what_there_is(Bench& bench) {
  Instance& first = bench.instance();
  Instance& second = bench.running();
  expect_ok(first.create());
  const Outcome outcome = list(bench);
  for (const Instance* instance : {&first, &second})
    expect_equal("how often list() emits an instance", times_listed(outcome, instance->key()), 1);
  const auto running = std::find_if(outcome.emitted.begin(), outcome.emitted.end(), [&](const Emitted& e) { return e.key == second.key(); });
  expect_equal("the state that list() emits of what runs", state_name(running->state), "running");
  expect_equal("the id that list() emits", running->id.value_or("(NULL)"), second.id());
  expect_ok(first.remove());
  expect_equal("how often list() emits what was removed", times_listed(list(bench), first.key()), 0);
}

constexpr std::uint32_t on_terminal = need_backend | need_terminal, with_agent = on_terminal | need_agent;
constexpr Test terminals[] = {
    {.part = "terminal", .name = "runs-a-program", .rule = "terminal() with argv", .needs = on_terminal, .run = runs_a_program},
    {.part = "terminal", .name = "shows-the-agents-session", .rule = "terminal() without argv: the agent's own session", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_TTY, .run = shows_the_agents_session},
    {.part = "terminal", .name = "passes-on-the-agents-end", .rule = "KORTEX_END_EXITED and its status", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_TTY, .run = passes_on_the_agents_end},
    {.part = "terminal", .name = "ends-when-the-instance-is-stopped", .rule = "KORTEX_END_STOPPED", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_TTY, .run = ends_when_the_instance_is_stopped},
    {.part = "terminal", .name = "is-refused-where-nothing-runs", .rule = "STATE", .needs = on_terminal, .run = is_refused_where_nothing_runs},
    {.part = "detach", .name = "can-be-left-and-entered-again", .rule = "KORTEX_END_DETACHED; recent output is replayed", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_DETACH, .run = can_be_left_and_entered_again},
    {.part = "detach", .name = "outlives-a-host-that-dies", .rule = "the agent runs on", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_DETACH, .run = outlives_a_host_that_dies},
    {.part = "detach", .name = "can-be-watched-by-two", .rule = "several viewers at a time", .needs = with_agent, .guarantee = KORTEX_GUARANTEE_DETACH, .run = can_be_watched_by_two},
};
constexpr std::uint32_t logging = need_backend | need_logs, waiting = need_backend | need_wait;
constexpr Test logged[] = {
    {.part = "logs", .name = "can-be-asked-of-any-instance", .rule = "logs() of one that never ran is empty, not an error", .needs = logging, .run = can_be_asked_of_any_instance},
    {.part = "logs", .name = "hands-over-what-the-agent-wrote", .rule = "output(), tail", .needs = logging | need_agent, .run = hands_over_what_the_agent_wrote},
    {.part = "logs", .name = "keeps-them-after-the-end", .rule = "logs() of a stopped one", .needs = logging | need_agent, .run = keeps_them_after_the_end},
    {.part = "logs", .name = "follows-until-the-agent-ends", .rule = "KORTEX_LOGS_FOLLOW", .needs = logging | need_agent, .run = follows_until_the_agent_ends},
};
constexpr Test waited[] = {
    {.part = "wait", .name = "returns-at-once-where-nothing-runs", .rule = "wait(): at once when it is not running", .needs = waiting, .run = returns_at_once_where_nothing_runs},
    {.part = "wait", .name = "returns-when-the-instance-is-stopped", .rule = "wait() returns when the agent has ended", .needs = waiting, .run = returns_when_the_instance_is_stopped},
    {.part = "wait", .name = "returns-the-agents-status", .rule = "kortex_exit.code", .needs = waiting | need_agent, .run = returns_the_agents_status},
};
constexpr Test listed[] = {
    {.part = "list", .name = "lists-what-there-is", .rule = "list(): all the backend has with a key", .needs = need_backend | need_list, .run = lists_what_there_is},
};

}  // namespace

const std::span<const Test> terminal_tests = terminals;
const std::span<const Test> logs_tests = logged;
const std::span<const Test> wait_tests = waited;
const std::span<const Test> list_tests = listed;

}  // namespace kortex::check
