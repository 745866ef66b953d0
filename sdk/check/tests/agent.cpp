// What the agent is given, and how it ends.
#include <dirent.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "instance.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> words_of(const std::string& bytes) {
  std::vector<std::string> out;
  std::istringstream in(bytes);
  for (std::string word; std::getline(in, word, '\0');) out.push_back(word);
  return out;
}

void is_run_in_the_sources(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  expect_equal("the agent's directory", instance.sign("cwd"), instance.sources().string());
  expect_equal("agents that were started", static_cast<std::int64_t>(instance.agent_starts()), 1);
}

void gets_its_arguments_as_they_are(Bench& bench) {
  const std::vector<std::string> odd{"plain", "", "two words", "a\nline", "'\"$HOME`x`\\", "-\xc3\xa4", "*"};
  Wish wish;
  wish.agent_words = {"--"};
  wish.agent_words.insert(wish.agent_words.end(), odd.begin(), odd.end());
  Instance& instance = bench.running(wish);
  (void)instance.await_sign("started");
  const std::vector<std::string> got = words_of(instance.sign("args"));
  expect_equal("the number of the agent's arguments", static_cast<std::int64_t>(got.size()), static_cast<std::int64_t>(odd.size()));
  for (std::size_t i = 0; i < odd.size(); ++i) expect_equal("the agent's argument " + std::to_string(i), got[i], odd[i]);
}

void gets_its_environment(Bench& bench) {
  Wish wish;
  wish.env = {{"CHECK_STATED", "from the configuration"}};
  wish.start_env = {"CHECK_PASSED=two words", "CHECK_ODD='\"$x\\", "CHECK_EMPTY="};
  Instance& instance = bench.running(wish);
  (void)instance.await_sign("started");
  const std::string env = '\0' + instance.sign("env");
  for (const std::string wanted : {"CHECK_STATED=from the configuration", "CHECK_PASSED=two words", "CHECK_ODD='\"$x\\", "CHECK_EMPTY="})
    expect(env.find('\0' + wanted + '\0') != std::string::npos, "the agent has not got " + in_quotes(wanted));
  for (const std::string name : {"HOME", "PATH"}) expect(env.find('\0' + name + '=') != std::string::npos, "the agent has no " + name);
}

/// Files, whatever their names, that hold `text`. Sockets, pipes and what is not ours to read are left alone.
std::string file_with(const fs::path& directory, const std::string& text) {
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, fs::directory_options::skip_permission_denied, error), end; !error && at != end; at.increment(error)) {
    struct stat status {};
    if (::lstat(at->path().c_str(), &status) != 0) continue;
    if (S_ISLNK(status.st_mode)) {
      const std::string target = fs::read_symlink(at->path(), error).string();
      if (target.find(text) != std::string::npos) return at->path().string();
    }
    if (!S_ISREG(status.st_mode) || status.st_size > (16 << 20)) continue;
    std::ifstream in(at->path(), std::ios::binary);
    std::ostringstream bytes;
    bytes << in.rdbuf();
    if (bytes.str().find(text) != std::string::npos) return at->path().string();
  }
  return {};
}

void never_finds_its_secrets_stored(Bench& bench) {
  Wish wish;
  const std::string secret = "secret-" + std::to_string(::getpid()) + "-7f3a";
  wish.start_env = {"CHECK_SECRET=" + secret};
  Instance& instance = bench.running(wish);
  if (!bench.arguments().pretends) (void)instance.await_sign("started");
  for (const fs::path& directory : {instance.state_dir(), fs::path(bench.places().state_dir), fs::path(bench.places().cache_dir)})
    if (const std::string file = file_with(directory, secret); !file.empty()) fail("a value of the user's environment was stored in '" + file + "'");
  expect_ok(instance.stop());
}

void shares_the_sources_both_ways(Bench& bench) {
  Instance& instance = bench.running({.agent = {}});
  (void)instance.await_sign("started");  // written inside, read here
  instance.order("print x");             // written here, read inside
  expect_equal("what the agent read of a file that was changed here", instance.await_sign("done"), "print x");
}

void is_told_to_end(Bench& bench) {
  Instance& instance = bench.running({.agent_words = {"status=7"}});
  (void)instance.await_sign("started");
  const Outcome stopped = instance.stop(20000);
  expect_ok(stopped);
  expect(instance.has_sign("terminated"), "stop() ended the agent without SIGTERM");
  const int code = stopped.emitted.front().exit_code;
  expect(code == 7 || code == -1, "the agent ended with 7, stop() emitted " + std::to_string(code));
}

void is_killed_after_its_grace(Bench& bench) {
  Instance& instance = bench.running({.agent_words = {"stubborn"}});
  (void)instance.await_sign("started");
  const Outcome stopped = instance.stop(300);
  expect_ok(stopped);
  expect(stopped.elapsed_ms < 15000, "stop() with a grace of 300 ms took " + std::to_string(stopped.elapsed_ms) + " ms");
  expect(instance.state() != KORTEX_STATE_RUNNING, "an agent that ignores SIGTERM still runs after stop()");
  Instance& killed = bench.running({.agent_words = {"stubborn"}});
  (void)killed.await_sign("started");
  const Outcome at_once = killed.stop(60000, KORTEX_STOP_KILL);
  expect_ok(at_once);
  expect(at_once.elapsed_ms < 15000, "stop() with KORTEX_STOP_KILL took " + std::to_string(at_once.elapsed_ms) + " ms");
}

void ends_by_itself(Bench& bench) {
  Instance& instance = bench.running();
  (void)instance.await_sign("started");
  instance.order("exit 9");
  instance.await_state({KORTEX_STATE_STOPPED, KORTEX_STATE_FAILED});
  const Outcome seen = instance.inspect();
  expect_ok(seen);
  const int code = seen.emitted.front().exit_code;
  expect(code == 9 || code == -1, "the agent ended with 9, inspect() emitted " + std::to_string(code));
  expect_ok(instance.stop());
  expect_ok(instance.start());
  while (instance.agent_starts() < 2) (void)instance.state();
  expect_equal("the state of an agent that was started again", state_name(instance.state()), "running");
}

void that_is_not_there_is_an_error(Bench& bench) {
  Instance& instance = bench.instance({.agent = {"/nowhere/at/all"}});
  const Outcome created = instance.create();
  if (!created.ok()) return;  // it may look for it at once
  const Outcome started = instance.start();
  expect(started.signal == 0 && started.status && started.status != KORTEX_OK, "start() of an agent whose program is nowhere: " + started.what_happened());
  expect(started.status != KORTEX_E_NOT_FOUND, "start() says NOT_FOUND, that the instance is gone, where the agent's program is");
  expect(instance.state() != KORTEX_STATE_RUNNING, "the instance of an agent that could not be started runs");
}

constexpr std::uint32_t needs = need_backend | need_agent;
constexpr Test table[] = {
    {.part = "core", .name = "runs-the-agent-in-the-sources", .rule = "start() starts the agent, in target_path", .needs = needs, .run = is_run_in_the_sources},
    {.part = "core", .name = "shares-the-sources-both-ways", .rule = "target_path: the sources appear in the instance", .needs = needs, .run = shares_the_sources_both_ways},
    {.part = "core", .name = "passes-arguments-as-they-are", .rule = "agent_argv", .needs = needs, .run = gets_its_arguments_as_they_are},
    {.part = "core", .name = "passes-the-environment", .rule = "kortex_start_args.env", .needs = needs, .run = gets_its_environment},
    {.part = "core", .name = "stores-no-secret", .rule = "env holds values of the user's environment: never store or log them", .needs = need_backend, .run = never_finds_its_secrets_stored},
    {.part = "core", .name = "tells-the-agent-to-end", .rule = "stop(): SIGTERM to the agent", .needs = needs, .run = is_told_to_end},
    {.part = "core", .name = "kills-the-agent-after-its-grace", .rule = "stop(): grace_ms, KORTEX_STOP_KILL", .needs = needs, .run = is_killed_after_its_grace},
    {.part = "core", .name = "notices-that-the-agent-has-ended", .rule = "state and exit_code of an agent that ended by itself", .needs = needs, .run = ends_by_itself},
    {.part = "core", .name = "fails-when-the-agent-cannot-be-run", .rule = "start() returns when the agent's program has been started", .needs = needs, .run = that_is_not_there_is_an_error},
};

}  // namespace

const std::span<const Test> agent_tests = table;

}  // namespace kortex::check
