#include "engine/credentials.hpp"

#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "engine/api.hpp"
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

  std::string file(const std::string& text, const char* name = "config.json") {
    std::ofstream((sandbox / name).string()) << text;
    return (sandbox / name).string();
  }
  /// The header, taken apart.
  boost::json::object auth(const std::vector<std::string>& files, const std::string& image) {
    const std::string header = registry_auth(call, files, image);
    return header.empty() ? boost::json::object() : boost::json::parse(from_base64(header)).as_object();
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(credentials, Fixture)

BOOST_AUTO_TEST_CASE(knows_which_registry_an_image_is_of) {
  BOOST_TEST(registry_of("debian") == "docker.io");
  BOOST_TEST(registry_of("team/app:1") == "docker.io");
  BOOST_TEST(registry_of("docker.io/library/debian") == "docker.io");
  BOOST_TEST(registry_of("registry.example/app") == "registry.example");
  BOOST_TEST(registry_of("localhost/app") == "localhost");
  BOOST_TEST(registry_of("machine:5000/app@sha256:12") == "machine:5000");
}

BOOST_AUTO_TEST_CASE(base64_is_as_everywhere) {
  BOOST_TEST(base64("", false) == "");
  BOOST_TEST(base64("M", false) == "TQ==");
  BOOST_TEST(base64("Ma", false) == "TWE=");
  BOOST_TEST(base64("Man", false) == "TWFu");
  BOOST_TEST(base64("\xfb\xff", true) == "-_8=");
  for (const char* text : {"", "a", "ab", "abc", "user:p\xc3\xa4ss"}) BOOST_TEST(from_base64(base64(text, true)) == text);
  BOOST_TEST(from_base64("no base64!") == "");
}

BOOST_AUTO_TEST_CASE(sends_what_a_login_left) {
  const std::string config = file(R"({"auths":{"https://index.docker.io/v1/":{"auth":"bWU6c2VjcmV0"},"registry.example":{"identitytoken":"t0ken"}}})");
  const auto hub = auth({config}, "debian:12");
  BOOST_TEST(hub.at("username") == "me");
  BOOST_TEST(hub.at("password") == "secret");
  BOOST_TEST(hub.at("serveraddress") == "https://index.docker.io/v1/");
  const auto other = auth({config}, "registry.example/app");
  BOOST_TEST(other.at("identitytoken") == "t0ken");
  BOOST_TEST(!other.contains("password"));
  BOOST_TEST(auth({config}, "elsewhere.example/app").empty());
}

BOOST_AUTO_TEST_CASE(the_longest_part_of_a_registry_counts) {
  const std::string config = file(R"({"auths":{"r.example":{"auth":"YTph"},"r.example/team":{"auth":"Yjpi"},"r.example/te":{"auth":"Yzpj"}}})");
  BOOST_TEST(auth({config}, "r.example/team/app").at("username") == "b");
  BOOST_TEST(auth({config}, "r.example/other").at("username") == "a");
}

BOOST_AUTO_TEST_CASE(the_first_file_that_knows_counts_and_broken_ones_do_not) {
  const std::string broken = file("{", "broken"), none = file("{}", "none"), good = file(R"({"auths":{"docker.io":{"auth":"YTph"}}})", "good");
  BOOST_TEST(auth({(sandbox / "absent").string(), broken, none, good}, "x").at("username") == "a");
  BOOST_TEST(auth({(sandbox / "absent").string(), broken, none}, "x").empty());
}

BOOST_AUTO_TEST_CASE(a_pull_carries_it_in_its_header_and_nothing_else_does) {
  RecordedEngine engine((sandbox / "s").string(), {docker_ping(), reply(200, "{\"status\":\"done\"}\n"), reply(200, "[]")});
  Api docker(call, {"docker", (sandbox / "s").string(), "", ""});
  const std::string header = registry_auth(call, {file(R"({"auths":{"docker.io":{"auth":"bWU6c2VjcmV0"}}})")}, "debian");
  docker.pull("debian", header, [](std::int64_t, std::int64_t, const std::string&) {});
  (void)docker.list("io.kortex.key");
  const std::vector<std::string> requests = engine.requests();
  BOOST_REQUIRE(requests.size() == 3u);
  BOOST_TEST(requests[1].find("POST /v1.41/images/create?fromImage=debian&tag=latest ") == 0u);
  BOOST_TEST(requests[1].find("\r\nX-Registry-Auth: " + header + "\r\n") != std::string::npos);
  BOOST_TEST(requests[0].find("X-Registry-Auth") == std::string::npos);
  BOOST_TEST(requests[2].find("X-Registry-Auth") == std::string::npos);
}

BOOST_AUTO_TEST_SUITE_END()
