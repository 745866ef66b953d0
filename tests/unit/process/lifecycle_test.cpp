// Each case runs with and without a sandbox where both make sense: a bare process must end as surely.
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <boost/test/data/test_case.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include <kortex/fd.hpp>

#include "plugin_host.hpp"

namespace data = boost::unit_test::data;
using kortex::test::PluginHost;

namespace {

const char* const sandboxes[] = {"bwrap", "none"};

bool unavailable(const std::string& sandbox) { return sandbox == "bwrap" && !kortex::test::bubblewrap_works(); }

/// How many processes have `marker` in their environment.
int processes_with(const std::string& marker) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    if (entry.path().filename().string().find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream file(entry.path() / "environ");
    const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    if (text.find(marker) != std::string::npos) ++count;
  }
  return count;
}

/// Of those that have been killed the last may still be on its way out: bubblewrap, outside the sandbox, waits for the one inside.
bool none_is_left_with(const std::string& marker) {
  for (int patience = 0; patience < 1000 && processes_with(marker) != 0; ++patience) ::poll(nullptr, 0, 10);
  return processes_with(marker) == 0;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lifecycle)

BOOST_DATA_TEST_CASE(goes_through_its_life_and_may_repeat_every_step, data::make(sandboxes), sandbox) {
  if (unavailable(sandbox)) return;
  PluginHost host;
  host.sandbox = sandbox;
  BOOST_TEST(host.inspect() == KORTEX_STATE_GONE);
  for (int i = 0; i < 2; ++i) BOOST_REQUIRE_MESSAGE(host.create() == KORTEX_OK, host.message);
  BOOST_TEST(host.inspect() == KORTEX_STATE_CREATED);
  std::int64_t pid = 0;
  for (int i = 0; i < 2; ++i) {
    BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
    BOOST_TEST(host.last_state == KORTEX_STATE_RUNNING);
    if (i == 0) pid = host.last_pid;
    BOOST_TEST(host.last_pid == pid);
  }
  BOOST_TEST(pid > 1);
  BOOST_TEST(host.remove() == KORTEX_E_STATE);
  BOOST_TEST(host.message == "cannot remove 'instance': it is running");
  for (int i = 0; i < 2; ++i) BOOST_TEST(host.stop() == KORTEX_OK);
  BOOST_TEST(host.last_state == KORTEX_STATE_STOPPED);
  BOOST_TEST(host.last_exit == 128 + SIGTERM);
  for (int i = 0; i < 2; ++i) BOOST_TEST(host.remove() == KORTEX_OK);
  BOOST_TEST(host.inspect() == KORTEX_STATE_GONE);
  BOOST_TEST(std::filesystem::is_empty(host.state("")));
}

BOOST_DATA_TEST_CASE(tells_how_the_agent_ended_and_what_it_wrote, data::make(sandboxes), sandbox) {
  if (unavailable(sandbox)) return;
  PluginHost host;
  host.sandbox = sandbox;
  host.agent = {"/bin/sh", "-c", "echo agent of $KORTEX_WORKSPACE, $GIVEN; exit 42"};
  BOOST_REQUIRE_MESSAGE(host.create() == KORTEX_OK, host.message);
  BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
  int code = 0;
  BOOST_TEST(host.wait(code) == KORTEX_OK);
  BOOST_TEST(code == 42);
  BOOST_TEST(host.inspect() == KORTEX_STATE_STOPPED);
  BOOST_TEST(host.last_exit == 42);
  std::string text;
  BOOST_TEST(host.logs(text) == KORTEX_OK);
  BOOST_TEST(text == "agent of instance, yes\r\n");
  BOOST_TEST(host.exec("true", text) == -KORTEX_E_STATE);
  BOOST_TEST(host.message == "cannot run a program in 'instance': it is not running");
  BOOST_TEST(host.hint == "kortex-cli start instance");
}

BOOST_DATA_TEST_CASE(leaves_nothing_running_when_the_agent_cannot_be_run, data::make(sandboxes), sandbox) {
  if (unavailable(sandbox)) return;
  PluginHost host("no-agent-" + std::string(sandbox) + std::to_string(::getpid()));
  host.sandbox = sandbox;
  host.agent = {"/does/not/exist"};
  BOOST_REQUIRE_MESSAGE(host.create() == KORTEX_OK, host.message);
  BOOST_TEST(host.start() != KORTEX_OK);
  BOOST_TEST(host.message == "cannot start agent 'test': cannot run '/does/not/exist': no such file or directory");
  BOOST_TEST(host.inspect() == KORTEX_STATE_CREATED);
  BOOST_TEST(none_is_left_with("KORTEX_INSTANCE=no-agent-" + std::string(sandbox) + std::to_string(::getpid())));
}

BOOST_DATA_TEST_CASE(ends_every_process_whatever_it_did_to_escape, data::make(sandboxes), sandbox) {
  if (unavailable(sandbox)) return;
  const std::string key = "escape-" + std::string(sandbox) + std::to_string(::getpid());
  PluginHost host(key);
  host.sandbox = sandbox;
  host.agent = {"/bin/sh", "-c",
                "trap '' TERM HUP; for i in 1 2 3; do setsid sh -c 'trap \"\" TERM; sleep 1000 & sleep 1000' & done; "
                "(setsid sh -c 'sleep 1000 & echo') ; touch ready; sleep 1000; true"};
  BOOST_REQUIRE_MESSAGE(host.create() == KORTEX_OK, host.message);
  BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
  std::string ignored;
  BOOST_REQUIRE(host.exec("while [ ! -e ready ]; do sleep 0.01; done", ignored) == 0);
  BOOST_TEST(processes_with("KORTEX_INSTANCE=" + key) >= 5);
  BOOST_TEST(host.stop(50) == KORTEX_OK);
  BOOST_TEST(none_is_left_with("KORTEX_INSTANCE=" + key));
}

BOOST_DATA_TEST_CASE(tells_that_the_holder_was_killed_and_starts_anew, data::make(sandboxes), sandbox) {
  if (unavailable(sandbox)) return;
  const std::string key = "killed-" + std::string(sandbox) + std::to_string(::getpid());
  PluginHost host(key);
  host.sandbox = sandbox;
  BOOST_REQUIRE_MESSAGE(host.create() == KORTEX_OK, host.message);
  BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
  const kortex::Fd holder(static_cast<int>(::syscall(SYS_pidfd_open, static_cast<pid_t>(host.last_pid), 0)));
  BOOST_REQUIRE(::kill(static_cast<pid_t>(host.last_pid), SIGKILL) == 0);
  pollfd gone{holder.get(), POLLIN, 0};
  BOOST_REQUIRE(::poll(&gone, 1, 10000) == 1);
  BOOST_TEST(host.inspect() == KORTEX_STATE_FAILED);
  BOOST_TEST(host.last_status == "the session holder was killed");
  BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
  BOOST_TEST(host.last_state == KORTEX_STATE_RUNNING);
  BOOST_TEST(host.stop() == KORTEX_OK);
  BOOST_TEST(none_is_left_with("KORTEX_INSTANCE=" + key));
}

BOOST_AUTO_TEST_CASE(tells_a_reboot_from_a_killed_holder) {
  PluginHost host;
  host.sandbox = "none";
  BOOST_REQUIRE(host.create() == KORTEX_OK);
  std::ofstream(host.state("session.status")) << "serving 1\nstarted 2 3\n";
  std::ofstream(host.state("boot")) << "another\n";
  BOOST_TEST(host.inspect() == KORTEX_STATE_STOPPED);
  BOOST_TEST(host.last_status == "this machine was rebooted");
  std::ofstream(host.state("boot")) << std::ifstream("/proc/sys/kernel/random/boot_id").rdbuf();
  BOOST_TEST(host.inspect() == KORTEX_STATE_FAILED);
}

BOOST_AUTO_TEST_CASE(stops_an_instance_whose_holder_does_not_answer) {
  PluginHost host;
  host.sandbox = "none";
  BOOST_REQUIRE(host.create() == KORTEX_OK);
  BOOST_REQUIRE_MESSAGE(host.start() == KORTEX_OK, host.message);
  BOOST_REQUIRE(::kill(static_cast<pid_t>(host.last_pid), SIGSTOP) == 0);
  BOOST_TEST(host.stop(0) == KORTEX_OK);
  BOOST_TEST(host.last_state == KORTEX_STATE_STOPPED);
  BOOST_TEST(host.last_exit == 128 + SIGKILL);
}

BOOST_AUTO_TEST_CASE(removes_directories_that_the_agent_has_shut) {
  PluginHost host;
  host.sandbox = "none";
  BOOST_REQUIRE(host.create() == KORTEX_OK);
  const std::filesystem::path shut = host.state("home/a/b");
  std::filesystem::create_directories(shut);
  std::ofstream(shut / "file") << "x";
  std::filesystem::permissions(shut, std::filesystem::perms::none);
  std::filesystem::permissions(shut.parent_path(), std::filesystem::perms::none);
  BOOST_TEST(host.remove() == KORTEX_OK, host.message);
  BOOST_TEST(!std::filesystem::exists(host.state("home")));
}

BOOST_AUTO_TEST_SUITE_END()
