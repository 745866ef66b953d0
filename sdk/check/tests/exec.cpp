// exec(): a program in a running instance, on clean pipes or on a terminal.
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

using Ended = Instance::Ended;

void expect_exit(const Ended& ended, int code) {
  expect_ok(ended.outcome);
  expect(ended.outcome.exit && ended.outcome.exit->how == KORTEX_END_EXITED, "the program ended, but not as KORTEX_END_EXITED");
  expect_equal("the program's status", ended.outcome.exit->code, code);
}

void passes_on_exit_statuses(Bench& bench) {
  Instance& instance = bench.running();
  for (const int status : {0, 1, 7, 255}) expect_exit(instance.run({.argv = {"exit", std::to_string(status)}}), status);
  for (const int number : {SIGTERM, SIGKILL, SIGINT}) expect_exit(instance.run({.argv = {"kill", std::to_string(number)}}), 128 + number);
}

void keeps_streams_apart(Bench& bench) {
  const Ended ended = bench.running().run({.argv = {"streams"}});
  expect_exit(ended, 0);
  expect_equal("stdout", ended.out, "to stdout\n");
  expect_equal("stderr", ended.err, "to stderr\n");
}

void is_binary_safe(Bench& bench) {
  std::string bytes;
  for (int i = 0; i < 300000; ++i) bytes += static_cast<char>(i * 7 + i / 256);
  const Ended ended = bench.running().run({.argv = {"cat"}}, bytes);
  expect_exit(ended, 0);
  expect_equal("bytes that came back", static_cast<std::int64_t>(ended.out.size()), static_cast<std::int64_t>(bytes.size()));
  expect(ended.out == bytes, "bytes were changed on their way");
}

void passes_on_the_end_of_input(Bench& bench) {
  Instance& instance = bench.running();
  const Ended counted = instance.run({.argv = {"count"}}, "five.");
  expect_exit(counted, 0);
  expect_equal("what a program that read all its input wrote", counted.out, "5\n");
  const Ended nothing = instance.run({.argv = {"count"}});
  expect_exit(nothing, 0);
  expect_equal("what a program without input wrote", nothing.out, "0\n");
  const Ended none = instance.run({.argv = {"count"}, .without_input = true});
  expect_exit(none, 0);
  expect_equal("what a program with stdin_fd -1 wrote", none.out, "0\n");
}

void passes_on_arguments_and_environment(Bench& bench) {
  Instance& instance = bench.running();
  const Ended words = instance.run({.argv = {"args", "", "two words", "'\"$x\\", "*"}});
  expect_exit(words, 0);
  expect_equal("the program's arguments", words.out, "<>\n<two words>\n<'\"$x\\>\n<*>\n");
  const Ended env = instance.run({.argv = {"env", "CHECK_EXEC"}, .env = {"CHECK_EXEC=a b"}});
  expect_exit(env, 0);
  expect_equal("the program's variable", env.out, "<a b>\n");
}

void runs_where_it_is_told(Bench& bench) {
  Instance& instance = bench.running();
  const Ended usual = instance.run({.argv = {"cwd"}});
  expect_exit(usual, 0);
  expect_equal("the program's directory", usual.out, "<" + instance.sources().string() + ">\n");
  const Ended given = instance.run({.argv = {"cwd"}, .cwd = instance.signs().string()});
  expect_exit(given, 0);
  expect_equal("the directory that was given", given.out, "<" + instance.signs().string() + ">\n");
}

void refuses_where_nothing_runs(Bench& bench) {
  Instance& instance = bench.instance();
  expect_ok(instance.create());
  const Outcome outcome = instance.run({.argv = {"true"}}).outcome;
  expect(outcome.signal == 0 && outcome.status == KORTEX_E_STATE, "in an instance that does not run exec() must return STATE; " + outcome.what_happened());
}

void tells_that_a_program_is_not_there(Bench& bench) {
  const Ended ended = bench.running().run({.program = {"/nowhere/at/all"}});
  if (ended.outcome.ok()) {
    expect_equal("the status of a program that is not there", ended.outcome.exit->code, 127);
    return;
  }
  expect(ended.outcome.signal == 0 && ended.outcome.status && ended.outcome.failures.size() == 1, ended.outcome.what_happened());
  expect(ended.outcome.status != KORTEX_E_NOT_FOUND, "exec() says NOT_FOUND, that the instance is gone, where the program is");
}

void passes_on_signals(Bench& bench) {
  Instance& instance = bench.running();
  Session session = instance.begin({.argv = {"trap", (instance.signs() / "traps").string()}});
  (void)instance.await_sign("traps");
  session.operation.signal(SIGINT);
  const Outcome outcome = session.operation.finish();
  expect_ok(outcome);
  expect_equal("the status of a program that handles SIGINT", outcome.exit->code, 42);
}

void sets_the_size_before_the_first_byte(Bench& bench) {
  const Ended ended = bench.running().run({.argv = {"size"}, .tty = true, .rows = 37, .cols = 91});
  expect_exit(ended, 0);
  expect(ended.out.find("37 91") != std::string::npos, "the program's terminal is " + in_quotes(ended.out) + ", not '37 91'");
}

void follows_the_size(Bench& bench) {
  Session session = bench.running().begin({.argv = {"winch"}, .tty = true, .rows = 24, .cols = 80});
  (void)read_until(session.output.get(), "24 80");
  winsize size{};
  size.ws_row = 50;
  size.ws_col = 132;
  ::ioctl(session.output.get(), TIOCSWINSZ, &size);
  session.operation.resized();
  (void)read_until(session.output.get(), "50 132");
  expect_ok(session.operation.finish());
}

void types_on_the_programs_terminal(Bench& bench) {
  Instance& instance = bench.running();
  Session session = instance.begin({.argv = {"wait", (instance.signs() / "waits").string()}, .tty = true, .rows = 24, .cols = 80});
  (void)instance.await_sign("waits");
  write_all(session.input.get(), "\x03");
  const Outcome outcome = session.operation.finish();
  expect_ok(outcome);
  expect_equal("the status of a program when ctrl-c was typed", outcome.exit->code, 128 + SIGINT);
}

constexpr std::uint32_t needs = need_backend | need_exec;
constexpr Test table[] = {
    {.part = "exec", .name = "passes-on-exit-statuses", .rule = "kortex_exit: the status, or 128+signal", .needs = needs, .run = passes_on_exit_statuses},
    {.part = "exec", .name = "keeps-streams-apart", .rule = "stdout_fd and stderr_fd", .needs = needs, .run = keeps_streams_apart},
    {.part = "exec", .name = "is-binary-safe", .rule = "bytes are bytes", .needs = needs, .run = is_binary_safe},
    {.part = "exec", .name = "passes-on-the-end-of-input", .rule = "end of stdin is passed on", .needs = needs, .run = passes_on_the_end_of_input},
    {.part = "exec", .name = "passes-on-arguments-and-environment", .rule = "argv, env", .needs = needs, .run = passes_on_arguments_and_environment},
    {.part = "exec", .name = "runs-where-it-is-told", .rule = "cwd; NULL: the sources' target path", .needs = needs, .run = runs_where_it_is_told},
    {.part = "exec", .name = "refuses-where-nothing-runs", .rule = "STATE", .needs = needs, .run = refuses_where_nothing_runs},
    {.part = "exec", .name = "tells-that-a-program-is-not-there", .rule = "127 or an error, never NOT_FOUND", .needs = needs, .run = tells_that_a_program_is_not_there},
    {.part = "exec", .name = "passes-on-signals", .rule = "kortex_call.signal_fd", .needs = needs, .run = passes_on_signals},
    {.part = "tty", .name = "sets-the-size-before-the-first-byte", .rule = "rows, cols", .needs = needs, .guarantee = KORTEX_GUARANTEE_TTY, .run = sets_the_size_before_the_first_byte},
    {.part = "tty", .name = "follows-the-size", .rule = "kortex_call.resize_fd", .needs = needs, .guarantee = KORTEX_GUARANTEE_TTY, .run = follows_the_size},
    {.part = "tty", .name = "types-on-the-programs-terminal", .rule = "ctrl-c is the program's", .needs = needs, .guarantee = KORTEX_GUARANTEE_TTY, .run = types_on_the_programs_terminal},
};

}  // namespace

const std::span<const Test> exec_tests = table;

}  // namespace kortex::check
