#include <kortex/call.hpp>
#include <kortex/fd.hpp>

#include <boost/test/unit_test.hpp>
#include <chrono>

#include "recording_call.hpp"

using kortex::test::RecordingCall;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(wait)

BOOST_AUTO_TEST_CASE(tells_which_descriptor_is_ready) {
  RecordingCall host;
  const kortex::Pipe quiet = kortex::Pipe::make(), ready = kortex::Pipe::make();
  BOOST_REQUIRE(::write(ready.write.get(), "x", 1) == 1);
  BOOST_TEST(kortex::Call(&host.call).wait_any({quiet.read.get(), -1, ready.read.get()}).value() == 2u);
}

BOOST_AUTO_TEST_CASE(a_hung_up_descriptor_is_ready) {
  RecordingCall host;
  kortex::Pipe pipe = kortex::Pipe::make();
  pipe.write.reset();
  BOOST_TEST(kortex::Call(&host.call).wait_readable(pipe.read.get()));
}

BOOST_AUTO_TEST_CASE(gives_up_after_the_limit) {
  RecordingCall host;
  const auto before = std::chrono::steady_clock::now();
  BOOST_TEST(!kortex::Call(&host.call).wait_readable(-1, 30ms));
  BOOST_TEST((std::chrono::steady_clock::now() - before >= 30ms));
}

BOOST_AUTO_TEST_CASE(a_cancelled_call_ends_the_wait_at_once) {
  RecordingCall host;
  kortex::Pipe cancel = kortex::Pipe::make();
  host.call.cancel_fd = cancel.read.get();
  cancel.write.reset();
  BOOST_CHECK_THROW(kortex::Call(&host.call).wait_readable(-1), kortex::Cancelled);
}

BOOST_AUTO_TEST_CASE(the_deadline_ends_the_wait_with_a_timeout) {
  RecordingCall host;
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  host.call.deadline_ms = static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000 + 20;
  const auto is_timeout = [](const kortex::Error& error) { return error.code == KORTEX_E_TIMEOUT; };
  BOOST_CHECK_EXCEPTION(kortex::Call(&host.call).wait_readable(-1), kortex::Error, is_timeout);
}

BOOST_AUTO_TEST_SUITE_END()
