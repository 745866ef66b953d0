#include "cli/reporter.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <kortex/fd.hpp>

using namespace kortex::host;

namespace {

struct Screen {
  kortex::Fd fd{::memfd_create("err", MFD_CLOEXEC)};
  std::int64_t now = 1000;

  std::string text() const {
    std::string all(4096, '\0');
    all.resize(static_cast<std::size_t>(::pread(fd.get(), all.data(), all.size(), 0)));
    return all;
  }
  Reporter reporter(Reporter::Mode mode, bool notices = true) {
    return Reporter(fd.get(), mode, notices, [this] { return now; });
  }
};

Progress step(const char* phase, std::int64_t done = 0, std::int64_t total = -1) {
  Progress progress;
  progress.phase = phase;
  progress.message = "a\033b";
  progress.done = done;
  progress.total = total;
  return progress;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(reporter)

BOOST_AUTO_TEST_CASE(prints_a_line_for_each_new_step_when_nobody_watches) {
  Screen screen;
  Reporter reporter = screen.reporter(Reporter::Mode::plain);
  reporter.progress("fake", step("pull"));
  reporter.progress("fake", step("pull", 5));
  reporter.progress("fake", step("boot"));
  BOOST_TEST(screen.text() == "kortex-cli: pull: a?b\nkortex-cli: boot: a?b\n");
}

BOOST_AUTO_TEST_CASE(repaints_a_live_line_ten_times_a_second_and_erases_it) {
  Screen screen;
  {
    Reporter reporter = screen.reporter(Reporter::Mode::live);
    reporter.progress("fake", step("pull", 1 << 20, 4 << 20));
    screen.now += 99;
    reporter.progress("fake", step("pull", 2 << 20, 4 << 20));
    screen.now += 1;
    reporter.progress("fake", step("pull", 3 << 20, 4 << 20));
    reporter.warning("careful");
  }
  BOOST_TEST(screen.text() ==
             "\rpull: a?b  25% of 4 MiB  0.0s\033[K\rpull: a?b  75% of 4 MiB  0.1s\033[K"
             "\r\033[Kkortex-cli: warning: careful\n");
}

BOOST_AUTO_TEST_CASE(lets_the_time_go_on_while_nothing_happens) {
  Screen screen;
  {
    Reporter reporter = screen.reporter(Reporter::Mode::live);
    BOOST_TEST(!reporter.repaint());
    reporter.progress("fake", step("pull"));
    screen.now += 1200;
    BOOST_TEST(reporter.repaint());
    reporter.clear();
    BOOST_TEST(!reporter.repaint());
  }
  BOOST_TEST(screen.text() == "\rpull: a?b  0.0s\033[K\rpull: a?b  1.2s\033[K\r\033[K");
}

BOOST_AUTO_TEST_CASE(writes_events_for_programs) {
  Screen screen;
  Reporter reporter = screen.reporter(Reporter::Mode::json, false);
  reporter.progress("fake", step("boot"));
  reporter.warning("careful");
  BOOST_TEST(screen.text() ==
             "{\"event\":\"progress\",\"version\":1,\"runtime\":\"fake\",\"phase\":\"boot\",\"done\":0,\"total\":null,"
             "\"message\":\"a\\u001bb\"}\n"
             "{\"event\":\"warning\",\"version\":1,\"message\":\"careful\"}\n");
}

BOOST_AUTO_TEST_CASE(keeps_the_end_of_a_backends_words_and_one_hint) {
  Screen screen;
  std::string detail;
  for (int i = 1; i <= 25; ++i) detail += "line " + std::to_string(i) + "\033\n";
  screen.reporter(Reporter::Mode::none).error(Error(ErrorKind::failed, "it failed", "kortex-cli list", detail));
  const std::string text = screen.text();
  BOOST_TEST(text.starts_with("kortex-cli: error: it failed\n  (5 lines left out)\n  line 6?\n"));
  BOOST_TEST(text.ends_with("  line 25?\nhint: kortex-cli list\n"));
}

BOOST_AUTO_TEST_CASE(keeps_notices_back_when_programs_read) {
  Screen screen;
  Reporter reporter = screen.reporter(Reporter::Mode::none, false);
  reporter.notice("waiting");
  reporter.warning("careful");
  BOOST_TEST(screen.text() == "kortex-cli: warning: careful\n");
}

BOOST_AUTO_TEST_SUITE_END()
