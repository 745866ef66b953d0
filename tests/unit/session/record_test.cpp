extern "C" {
#include "output_log.h"
}

#include <boost/test/unit_test.hpp>
#include <fstream>
#include <kortex/session.hpp>

#include "sandbox.hpp"

namespace session = kortex::session;

namespace {

struct Log {
  kortex::test::Sandbox sandbox;
  std::string paths[2] = {(sandbox / "output.0").string(), (sandbox / "output.1").string()};
  kortex::Fd fds[2];
  output_log log{};

  Log() {
    for (int i : {0, 1}) fds[i].reset(::open(paths[i].c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    output_log_init(&log, fds[0].get(), fds[1].get());
  }
  void write(const std::string& text) {
    output_log_append(&log, reinterpret_cast<const unsigned char*>(text.data()), text.size());
  }
  std::string read(std::int64_t lines = -1) const {
    std::string text;
    session::read_log(paths[0], paths[1], lines, [&](const char* data, std::size_t size) {
      text.append(data, size);
      return 0;
    });
    return text;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(record)

BOOST_AUTO_TEST_CASE(of_a_log_is_read_from_its_end) {
  Log log;
  log.write("one\ntwo\nthree\n");
  BOOST_TEST(log.read() == "one\ntwo\nthree\n");
  BOOST_TEST(log.read(2) == "two\nthree\n");
  BOOST_TEST(log.read(9) == "one\ntwo\nthree\n");
  BOOST_TEST(log.read(0) == "");
  log.write("four");
  BOOST_TEST(log.read(2) == "three\nfour");
}

BOOST_AUTO_TEST_CASE(of_a_log_keeps_between_one_and_two_files_full) {
  Log log;
  std::string line(1023, 'x');
  line += '\n';
  const std::size_t lines = 3 * KORTEX_SESSION_LOG_MAX / line.size() + 100;
  for (std::size_t i = 0; i < lines; ++i) {
    const std::string number = std::to_string(i) + ' ';
    log.write(number + line.substr(number.size()));
  }
  const std::string text = log.read();
  BOOST_TEST(text.size() == KORTEX_SESSION_LOG_MAX + 100 * line.size());
  BOOST_TEST(text.substr(0, text.find(' ')) == std::to_string(lines - text.size() / line.size()));
  BOOST_TEST(log.read(1).substr(0, 6) == std::to_string(lines - 1) + ' ');
  for (const std::string& path : log.paths) BOOST_TEST(std::filesystem::file_size(path) <= KORTEX_SESSION_LOG_MAX);
}

BOOST_AUTO_TEST_CASE(of_a_log_goes_on_where_an_earlier_holder_stopped) {
  Log log;
  log.write(std::string(KORTEX_SESSION_LOG_MAX, 'a'));
  log.write("b");
  output_log_init(&log.log, log.fds[0].get(), log.fds[1].get());
  log.write("c");
  BOOST_TEST(log.read().substr(KORTEX_SESSION_LOG_MAX - 1) == "abc");
}

BOOST_AUTO_TEST_CASE(of_a_log_that_is_missing_is_empty) {
  const kortex::test::Sandbox sandbox;
  int calls = 0;
  session::read_log((sandbox / "no.0").string(), (sandbox / "no.1").string(), -1, [&](const char*, std::size_t) { return ++calls; });
  BOOST_TEST(calls == 0);
}

BOOST_AUTO_TEST_CASE(of_a_full_disk_is_silent) {
  output_log full{};
  const kortex::Fd device(::open("/dev/full", O_RDWR | O_CLOEXEC));
  output_log_init(&full, device.get(), device.get());
  output_log_append(&full, reinterpret_cast<const unsigned char*>("text"), 4);
  BOOST_TEST(full.current == 0);
}

BOOST_AUTO_TEST_CASE(of_a_status_tells_how_far_it_got) {
  const kortex::test::Sandbox sandbox;
  const std::string path = (sandbox / "status").string();
  BOOST_TEST(!session::read_status_file(path).serving);
  const auto append = [&](const std::string& text) { std::ofstream(path, std::ios::app) << text; };
  append("serving 1000\nstarted 42 2000\n");
  session::StatusFile status = session::read_status_file(path);
  BOOST_TEST(status.started);
  BOOST_TEST(status.agent_pid == 42);
  BOOST_TEST(status.started_ms == 2000);
  BOOST_TEST(!status.ended);
  append("ended 143 30");
  BOOST_TEST(!session::read_status_file(path).ended);  // half a line
  append("00\nwhatever comes later\n");
  status = session::read_status_file(path);
  BOOST_TEST(status.ended);
  BOOST_TEST(status.exit_code == 143);
  BOOST_TEST(status.ended_ms == 3000);
  append("serving 4000\n");
  BOOST_TEST(!session::read_status_file(path).started);
}

BOOST_AUTO_TEST_SUITE_END()
