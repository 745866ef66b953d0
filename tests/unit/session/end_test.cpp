#include <boost/test/unit_test.hpp>
#include <dirent.h>
#include <fstream>

#include "viewer.hpp"

using kortex::test::Holder;
using kortex::test::Viewer;
namespace session = kortex::session;

namespace {

/// Processes whose environment carries the marker: found wherever they have escaped to.
int survivors(const std::string& marker) {
  int count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename().string();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::ifstream stat(entry.path() / "stat");
    std::string line;
    std::getline(stat, line);
    if (line.find(") Z ") != std::string::npos) continue;
    std::ifstream environ(entry.path() / "environ");
    const std::string text((std::istreambuf_iterator<char>(environ)), std::istreambuf_iterator<char>());
    count += text.find(marker) != std::string::npos;
  }
  return count;
}

const char* const stubborn_tree =
    "trap '' TERM HUP; export STUBBORN=$$-$KX;"
    "sleep 600 & (setsid sleep 600 &) ; (setsid sh -c \"trap '' TERM HUP; (sleep 600 &) ; exec sleep 600\" &);"
    "(setsid setsid sh -c 'trap \"\" TERM HUP INT; sleep 600' &); echo tree ready; while :; do sleep 1; done";

}  // namespace

BOOST_AUTO_TEST_SUITE(end)

BOOST_AUTO_TEST_CASE(by_stop_leaves_nothing_of_a_tree_that_ignores_it) {
  Holder holder;
  const std::string marker = "KX=" + holder.directory.string();
  holder.start("export " + marker + ";" + stubborn_tree);
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("tree ready"));
  const auto patience = session::detail::now_ms() + kortex::test::patience_ms;
  int escaped = 0;  // one by one; counted once, as one that calls exec has no environment for a moment
  while ((escaped = survivors(marker)) < 6 && session::detail::now_ms() < patience) continue;
  BOOST_TEST(escaped >= 6);
  holder.client().stop(200);
  BOOST_TEST(survivors(marker) == 0);
  const session::End end = viewer.end();
  BOOST_TEST(end.how == KORTEX_END_STOPPED);
  BOOST_TEST(end.code == 128 + SIGKILL);
  BOOST_TEST(holder.exit_code() == 128 + SIGKILL);
  const session::StatusFile status = holder.status_file();
  BOOST_TEST(status.ended);
  BOOST_TEST(status.exit_code == 128 + SIGKILL);
  BOOST_TEST(!std::filesystem::exists(holder.directory / "session.sock"));
}

BOOST_AUTO_TEST_CASE(by_stop_gives_the_agent_time_to_finish) {
  Holder holder;
  holder.start("trap 'echo finishing; exit 9' TERM; echo ready; while :; do sleep 0.02; done");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  holder.client().stop(15000);
  BOOST_TEST(viewer.sees("finishing"));
  const session::End end = viewer.end();
  BOOST_TEST(end.how == KORTEX_END_STOPPED);
  BOOST_TEST(end.code == 9);
}

BOOST_AUTO_TEST_CASE(by_stop_is_understood_by_an_interactive_shell) {
  Holder holder;
  holder.start("exec bash --norc -i");
  Viewer viewer(holder);
  viewer.types("echo re''ady\r");
  BOOST_TEST(viewer.sees("ready\r\n"));
  const auto before = session::detail::now_ms();
  holder.client().stop(15000);
  BOOST_TEST(session::detail::now_ms() - before < 10000);  // not by SIGKILL at the end of the grace
  BOOST_TEST(viewer.end().how == KORTEX_END_STOPPED);
}

BOOST_AUTO_TEST_CASE(by_a_signal_to_the_holder_is_a_stop) {
  Holder holder;
  holder.start("trap 'exit 3' TERM; echo ready; while :; do sleep 0.02; done");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  ::kill(holder.pid(), SIGTERM);
  BOOST_TEST(viewer.end().how == KORTEX_END_STOPPED);
  BOOST_TEST(holder.exit_code() == 3);
}

BOOST_AUTO_TEST_CASE(of_the_agent_ends_programs_and_what_it_left_behind) {
  Holder holder;
  const std::string marker = "KX=" + holder.directory.string();
  holder.start("export " + marker + "; (setsid sleep 600 &); echo ready; read x; exit 6");
  Viewer viewer(holder);
  BOOST_TEST(viewer.sees("ready"));
  Viewer program(holder, 24, 80, [&](session::Client& c, const session::Streams& s) {
    session::Program p;
    p.argv = {"sh", "-c", "echo up; exec sleep 600"};
    p.env = {marker};
    p.tty = true;
    return c.run(p, s);
  });
  BOOST_TEST(program.sees("up"));
  viewer.types("\r");
  BOOST_TEST(viewer.end().code == 6);
  const session::End end = program.end();
  BOOST_TEST(end.how == KORTEX_END_STOPPED);
  BOOST_TEST(end.code == 128 + SIGTERM);
  BOOST_TEST(holder.exit_code() == 6);
  BOOST_TEST(survivors(marker) == 0);
}

BOOST_AUTO_TEST_CASE(is_waited_for) {
  Holder holder;
  holder.start("read x; exit 8");
  Viewer viewer(holder);
  session::Client client = holder.client();
  viewer.types("\r");
  const session::End end = client.wait();
  BOOST_TEST(end.how == KORTEX_END_EXITED);
  BOOST_TEST(end.code == 8);
}

BOOST_AUTO_TEST_CASE(of_waiting_comes_at_once_when_cancelled) {
  Holder holder;
  holder.start("exec sleep 600");
  kortex::Pipe cancel = kortex::Pipe::make();
  cancel.write.reset();
  session::Client client = holder.client();
  BOOST_CHECK_EXCEPTION((void)client.wait(cancel.read.get()), session::Error,
                        [](const session::Error& e) { return e.code == KORTEX_E_CANCELLED; });
}

BOOST_AUTO_TEST_CASE(before_the_start_is_an_end_too) {
  Holder holder;
  holder.client().stop(1000);
  BOOST_TEST(holder.exit_code() == 0);
  BOOST_TEST(!holder.status_file().started);
}

BOOST_AUTO_TEST_SUITE_END()
