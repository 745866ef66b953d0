#include "engine/http.hpp"

#include <boost/test/unit_test.hpp>

#include "recorded_engine.hpp"
#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::engine;
using namespace kortex::test;

namespace {

struct Fixture {
  Sandbox sandbox;
  FakeCall fake;
  Call call = fake.call();

  Connection to(const RecordedEngine& engine) {
    std::error_code error;
    Connection out(connect_unix(engine.path(), error));
    BOOST_REQUIRE_MESSAGE(!error, error.message());
    return out;
  }
  std::string path() { return (sandbox / "s").string(); }
};

kortex_status code_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error.code;
  }
  return KORTEX_OK;
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(http, Fixture)

BOOST_AUTO_TEST_CASE(keeps_the_connection_for_the_next_request) {
  RecordedEngine engine(path(), {reply(200, "1"), reply(404, "2"), "HTTP/1.1 204 No Content\r\n\r\n", reply(200, "3")});
  Connection connection = to(engine);
  BOOST_TEST(connection.exchange(call, {"GET", "/a", ""}).body == "1");
  const Response missing = connection.exchange(call, {"POST", "/b", "{}"});
  BOOST_TEST(missing.status == 404u);
  BOOST_TEST(missing.body == "2");
  BOOST_TEST(connection.exchange(call, {"POST", "/c", ""}).status == 204u);
  BOOST_TEST(connection.exchange(call, {"GET", "/d", ""}).body == "3");
  const std::vector<std::string> requests = engine.requests();
  BOOST_REQUIRE(requests.size() == 4);
  BOOST_TEST(requests[1].find("POST /b HTTP/1.1\r\nHost: engine\r\n") == 0u);
  BOOST_TEST(requests[1].find("Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}") != std::string::npos);
  BOOST_TEST(requests[2].find("Content-Length: 0\r\n") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(hands_on_a_chunked_body_as_it_arrives) {
  RecordedEngine engine(path(), {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\n\r\n", reply(200, "next")});
  Connection connection = to(engine);
  std::string seen;
  const Response response = connection.exchange(call, {"GET", "/", ""}, [&](std::string_view piece) { seen += piece; });
  BOOST_TEST(seen == "hello world");
  BOOST_TEST(response.body == "");
  BOOST_TEST(connection.exchange(call, {"GET", "/", ""}).body == "next");
}

BOOST_AUTO_TEST_CASE(collects_the_body_of_a_refusal_even_with_a_sink) {
  RecordedEngine engine(path(), {reply(500, "no")});
  Connection connection = to(engine);
  std::string seen;
  BOOST_TEST(connection.exchange(call, {"GET", "/", ""}, [&](std::string_view piece) { seen += piece; }).body == "no");
  BOOST_TEST(seen == "");
}

BOOST_AUTO_TEST_CASE(a_body_without_length_ends_with_the_stream) {
  RecordedEngine engine(path(), {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it" + std::string(closing)});
  Connection connection = to(engine);
  BOOST_TEST(connection.exchange(call, {"GET", "/", ""}).body == "all of it");
  BOOST_TEST(!connection.usable());
}

BOOST_AUTO_TEST_CASE(says_when_the_peer_closes_without_an_answer) {
  RecordedEngine engine(path(), {""});
  Connection connection = to(engine);
  BOOST_CHECK_THROW((void)connection.exchange(call, {"GET", "/", ""}), ConnectionLost);
  BOOST_TEST(!connection.usable());
}

BOOST_AUTO_TEST_CASE(refuses_what_is_no_http) {
  RecordedEngine engine(path(), {"SSH-2.0-OpenSSH_9.2\r\n\r\n"});
  Connection connection = to(engine);
  BOOST_TEST(code_of([&] { (void)connection.exchange(call, {"GET", "/", ""}); }) == KORTEX_E_BACKEND);
}

BOOST_AUTO_TEST_CASE(a_cancelled_call_ends_at_once) {
  RecordedEngine engine(path(), {"hang"});
  Connection connection = to(engine);
  std::thread later([&] { fake.cancel(); });
  BOOST_CHECK_THROW((void)connection.exchange(call, {"GET", "/", ""}), Cancelled);
  later.join();
  BOOST_TEST(!connection.usable());
}

BOOST_AUTO_TEST_CASE(a_deadline_is_kept) {
  RecordedEngine engine(path(), {"hang"});
  FakeCall limited(50);
  Connection connection = to(engine);
  BOOST_TEST(code_of([&] { (void)connection.exchange(limited.call(), {"GET", "/", ""}); }) == KORTEX_E_TIMEOUT);
}

BOOST_AUTO_TEST_CASE(an_upgraded_stream_keeps_the_bytes_behind_the_head) {
  for (const char* status : {"101 UPGRADED", "200 OK"}) {
    const std::string at = (sandbox / (std::string("h") + status[0])).string();
    RecordedEngine engine(at, {std::string("HTTP/1.1 ") + status + "\r\nConnection: Upgrade\r\n\r\nraw bytes"});
    Connection connection = to(engine);
    Response refusal;
    std::optional<Connection::Stream> stream = connection.hijack(call, {"POST", "/exec", "{}"}, refusal);
    BOOST_REQUIRE(stream);
    std::string seen = stream->early;
    char buffer[64];
    while (seen.size() < 9) {
      BOOST_REQUIRE(call.wait_readable(stream->socket.get()));
      const ssize_t got = ::read(stream->socket.get(), buffer, sizeof buffer);
      BOOST_REQUIRE(got > 0);
      seen.append(buffer, static_cast<std::size_t>(got));
    }
    BOOST_TEST(seen == "raw bytes");
    BOOST_TEST(engine.requests()[0].find("Upgrade: tcp\r\n") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(a_refused_upgrade_tells_why) {
  RecordedEngine engine(path(), {reply(409, R"({"message":"not running"})")});
  Connection connection = to(engine);
  Response refusal;
  BOOST_TEST(!connection.hijack(call, {"POST", "/exec", "{}"}, refusal).has_value());
  BOOST_TEST(refusal.status == 409u);
  BOOST_TEST(refusal.body == R"({"message":"not running"})");
}

BOOST_AUTO_TEST_CASE(connects_to_a_path_longer_than_a_socket_address) {
  RecordedEngine engine(path(), {reply(200, "1")});
  std::filesystem::path deep = sandbox.path();
  for (int i = 0; i < 5; ++i) deep /= std::string(40, 'd');
  std::filesystem::create_directories(deep);
  std::filesystem::rename(path(), deep / "s");
  std::error_code error;
  Connection connection(connect_unix((deep / "s").string(), error));
  BOOST_TEST(!error);
  BOOST_TEST(connection.exchange(call, {"GET", "/", ""}).body == "1");
  BOOST_TEST(!connect_unix((deep / "t").string(), error));
  BOOST_TEST((error == std::errc::no_such_file_or_directory));
}

BOOST_AUTO_TEST_CASE(encodes_what_a_url_cannot_hold) {
  BOOST_TEST(url_encoded("localhost:5000/a/b:1@sha256:f") == "localhost:5000/a/b:1@sha256:f");
  BOOST_TEST(url_encoded(R"({"label":["a=b c"]})") == "%7B%22label%22:%5B%22a%3Db%20c%22%5D%7D");
  BOOST_TEST(url_encoded("ä?&#%") == "%C3%A4%3F%26%23%25");
}

BOOST_AUTO_TEST_SUITE_END()
