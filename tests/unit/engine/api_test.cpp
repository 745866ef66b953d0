#include "engine/api.hpp"

#include <boost/test/unit_test.hpp>

#include "engine/image.hpp"
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

  std::string path() { return (sandbox / "s").string(); }
  Api api(const std::string& engine = "docker") { return {call, {engine, path(), "systemctl start " + engine, "sudo usermod -aG docker"}}; }
};

Error error_of(const std::function<void()>& what) {
  try {
    what();
  } catch (const Error& error) {
    return error;
  }
  return {KORTEX_OK, "nothing was thrown"};
}

}  // namespace

BOOST_FIXTURE_TEST_SUITE(api, Fixture)

BOOST_AUTO_TEST_CASE(speaks_the_lower_of_both_versions_but_none_that_is_refused) {
  BOOST_TEST(negotiated("1.44", "1.41", "1.24") == "1.41");   // podman 4.3
  BOOST_TEST(negotiated("1.44", "1.47", "1.24") == "1.44");   // docker 27
  BOOST_TEST(negotiated("1.44", "1.52", "1.44") == "1.44");   // docker 29
  BOOST_TEST(negotiated("1.44", "1.60", "1.50") == "1.50");
  BOOST_TEST(negotiated("1.44", "1.9", "1.5") == "1.9");
  BOOST_TEST(negotiated("1.44", "", "") == "1.44");
}

BOOST_AUTO_TEST_CASE(asks_for_the_version_once_and_uses_it) {
  RecordedEngine engine(path(), {podman_ping(), reply(200, "[]"), reply(200, "{}")});
  Api podman = api("podman");
  BOOST_TEST(podman.list("io.kortex.key").as_array().empty());
  (void)podman.inspect("abc");
  BOOST_TEST(podman.version() == "4.3.1");
  const std::vector<std::string> requests = engine.requests();
  BOOST_REQUIRE(requests.size() == 3);
  BOOST_TEST(requests[0].find("GET /_ping ") == 0u);
  BOOST_TEST(requests[1].find("GET /v4.3.1/libpod/containers/json?all=true&filters=%7B%22label%22:%5B%22io.kortex.key%22%5D%7D ") == 0u);
  BOOST_TEST(requests[2].find("GET /v1.41/containers/abc/json ") == 0u);
}

BOOST_AUTO_TEST_CASE(asks_a_newer_engine_what_it_still_accepts) {
  RecordedEngine engine(path(), {docker_ping("1.60"), reply(200, R"({"Version":"31.0","ApiVersion":"1.60","MinAPIVersion":"1.50"})"), reply(200, "[]")});
  Api docker = api();
  BOOST_TEST(docker.list("io.kortex.key").as_array().empty());
  BOOST_TEST(docker.version() == "20.10.24+dfsg1");
  BOOST_TEST(engine.requests()[1].find("GET /version ") == 0u);
  BOOST_TEST(engine.requests()[2].find("GET /v1.50/containers/json?") == 0u);
}

BOOST_AUTO_TEST_CASE(an_engine_that_is_down_says_how_to_start_it) {
  Api docker = api();
  const Error absent = error_of([&] { (void)docker.version(); });
  BOOST_TEST(absent.code == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(absent.what() == "cannot reach docker at '" + path() + "': no such socket");
  BOOST_TEST(absent.hint == "systemctl start docker");
  { RecordedEngine engine(path(), {}); }
  const Error deaf = error_of([&] { (void)docker.version(); });
  BOOST_TEST(deaf.code == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(deaf.what() == "cannot reach docker at '" + path() + "': nobody listens there");
}

BOOST_AUTO_TEST_CASE(a_forbidden_socket_says_how_to_get_in) {
  if (::geteuid() == 0) {
    BOOST_TEST_MESSAGE("root may use every socket");
    return;
  }
  RecordedEngine engine(path(), {});
  std::filesystem::permissions(path(), std::filesystem::perms::none);
  Api docker = api();
  const Error error = error_of([&] { (void)docker.version(); });
  BOOST_TEST(error.code == KORTEX_E_PERMISSION);
  BOOST_TEST(error.what() == "cannot reach docker at '" + path() + "': this user may not use it");
  BOOST_TEST(error.hint == "sudo usermod -aG docker");
}

BOOST_AUTO_TEST_CASE(a_web_server_is_no_engine) {
  RecordedEngine engine(path(), {reply(200, "{}")});
  Api docker = api();
  const Error error = error_of([&] { (void)docker.version(); });
  BOOST_TEST(error.code == KORTEX_E_UNAVAILABLE);
  BOOST_TEST(std::string(error.what()).find("what answers there is no container engine") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(refusals_keep_the_engines_words_and_get_a_code) {
  const std::vector<std::tuple<int, std::string, kortex_status, std::string>> cases = {
      {404, R"({"message":"No such container: x"})", KORTEX_E_NOT_FOUND, "cannot start it: docker: No such container: x"},
      {409, R"({"message":"Conflict. The container name \"/x\" is already in use by container \"1\"."})", KORTEX_E_EXISTS,
       "cannot start it: docker: Conflict. The container name \"/x\" is already in use by container \"1\""},
      {409, R"({"message":"Container x is paused"})", KORTEX_E_STATE, "cannot start it: docker: Container x is paused"},
      {500, R"({"cause":"y","message":"y: no space left on device","response":500})", KORTEX_E_RESOURCE,
       "cannot start it: docker: y: no space left on device"},
      {403, R"({"message":"no"})", KORTEX_E_PERMISSION, "cannot start it: docker: no"},
      {500, "not json", KORTEX_E_BACKEND, "cannot start it: docker: not json"},
      {500, "{}", KORTEX_E_BACKEND, "cannot start it: docker: status 500"},
  };
  std::vector<std::string> answers{docker_ping()};
  for (const auto& [status, body, code, message] : cases) answers.push_back(reply(status, body));
  RecordedEngine engine(path(), answers);
  Api docker = api();
  for (const auto& [status, body, code, message] : cases) {
    const Error error = error_of([&] { docker.start("start it", "x"); });
    BOOST_TEST(error.code == code);
    BOOST_TEST(error.what() == message);
  }
}

BOOST_AUTO_TEST_CASE(a_long_refusal_is_one_line_and_a_detail) {
  RecordedEngine engine(path(), {docker_ping(), reply(500, R"({"message":"first line\nsecond line"})")});
  Api docker = api();
  const Error error = error_of([&] { docker.start("start it", "x"); });
  BOOST_TEST(error.what() == std::string("cannot start it: docker: first line"));
  BOOST_TEST(error.detail == "first line\nsecond line");
}

BOOST_AUTO_TEST_CASE(a_start_that_can_never_succeed_says_what_to_remove) {
  RecordedEngine engine(path(), {docker_ping(), reply(500, R"({"message":"task 0123456789abcdef: already exists"})")});
  Api docker = api();
  const Error error = error_of([&] { docker.start("start it", "0123456789abcdef"); });
  BOOST_TEST(error.hint == "docker -H unix://" + path() + " rm -f 0123456789ab");
}

BOOST_AUTO_TEST_CASE(a_removal_that_is_going_on_is_left_to_the_engine) {
  RecordedEngine engine(path(), {docker_ping(), reply(409, R"({"message":"removal of container x is already in progress"})"),
                                 reply(409, R"({"message":"conflict"})")});
  Api docker = api();
  docker.remove("remove it", "x");
  BOOST_TEST(error_of([&] { docker.remove("remove it", "x"); }).what() == std::string("cannot remove it: docker: conflict"));
}

BOOST_AUTO_TEST_CASE(podman_says_500_of_a_container_that_is_just_being_removed) {
  RecordedEngine engine(path(), {docker_ping(), reply(500, R"({"cause":"no such container","message":"container x does not exist in database: no such container"})"),
                                 reply(500, R"({"cause":"broken","message":"broken"})")});
  Api podman = api();
  BOOST_TEST(podman.inspect("x").is_null());
  BOOST_TEST(error_of([&] { static_cast<void>(podman.inspect("x")); }).what() == std::string("cannot inspect container 'x': docker: broken"));
}

BOOST_AUTO_TEST_CASE(what_is_done_already_is_done) {
  const std::string not_modified = "HTTP/1.1 304 Not Modified\r\n\r\n";
  RecordedEngine engine(path(), {docker_ping(), not_modified, not_modified, reply(404, "{}"), reply(404, "{}"), reply(409, "{}"), not_modified});
  Api docker = api();
  docker.start("start it", "x");
  docker.stop("stop it", "x", 3);
  docker.remove("remove it", "x");
  BOOST_TEST(docker.inspect("x").is_null());
  docker.kill("kill it", "x");
  const std::vector<std::string> requests = engine.requests();
  BOOST_REQUIRE(requests.size() == 7);
  BOOST_TEST(requests[2].find("POST /v1.41/containers/x/stop?t=3 ") == 0u);
  BOOST_TEST(requests[3].find("DELETE /v1.41/containers/x?force=1&v=1 ") == 0u);
}

BOOST_AUTO_TEST_CASE(pulling_adds_up_the_layers) {
  const std::string body = R"({"status":"Pulling from library/debian","id":"12"}
{"status":"Downloading","progressDetail":{"current":10,"total":100},"id":"a"}
{"status":"Downloading","progressDetail":{"current":5,"total":50},"id":"b"}
{"status":"Downloading","progressDetail":{"current":100,"total":100},"id":"a"}
)";
  RecordedEngine engine(path(), {docker_ping(), reply(404, "{}"), reply(200, body), reply(200, "{}")});
  Api docker = api();
  ensure_image(call, docker, "docker.io/library/debian:12", "docker pull debian:12", {});
  BOOST_TEST(engine.requests()[2].find("POST /v1.41/images/create?fromImage=docker.io/library/debian&tag=12 ") == 0u);
  BOOST_REQUIRE(fake.progress.size() == 5);
  BOOST_TEST(fake.progress[0] == "pull 0/-1 fetching image docker.io/library/debian:12");
  BOOST_TEST(fake.progress[3] == "pull 15/150 Downloading");
  BOOST_TEST(fake.progress[4] == "pull 105/150 Downloading");
}

BOOST_AUTO_TEST_CASE(a_pull_that_fails_under_way_is_an_error_with_what_to_type) {
  RecordedEngine engine(path(), {docker_ping(), reply(404, "{}"),
                                 reply(200, R"({"status":"Pulling"})" "\n" R"({"errorDetail":{"message":"x"},"error":"Get https://r/: dial tcp: no route to host"})" "\n")});
  Api docker = api();
  const Error error = error_of([&] { ensure_image(call, docker, "r/a:1", "docker pull r/a:1", {}); });
  BOOST_TEST(error.code == KORTEX_E_BACKEND);
  BOOST_TEST(error.what() ==
             std::string("image 'r/a:1' is not here and cannot be fetched: docker: Get https://r/: dial tcp: no route to host"));
  BOOST_TEST(error.hint == "docker pull r/a:1");
}

BOOST_AUTO_TEST_CASE(a_missing_image_is_not_a_missing_instance) {
  RecordedEngine engine(path(), {docker_ping(), reply(404, "{}"), reply(404, R"({"message":"manifest unknown"})")});
  Api docker = api();
  BOOST_TEST(error_of([&] { ensure_image(call, docker, "a", "docker pull a", {}); }).code == KORTEX_E_FAILED);
}

BOOST_AUTO_TEST_CASE(splits_image_names_where_engines_do) {
  const auto is = [](const std::string& name, const std::string& image, const std::string& tag) {
    return image_and_tag(name) == std::make_pair(image, tag);
  };
  BOOST_TEST(is("debian", "debian", "latest"));
  BOOST_TEST(is("debian:12", "debian", "12"));
  BOOST_TEST(is("localhost:5000/a/b", "localhost:5000/a/b", "latest"));
  BOOST_TEST(is("localhost:5000/a/b:1", "localhost:5000/a/b", "1"));
  BOOST_TEST(is("a@sha256:ff", "a", "sha256:ff"));
}

BOOST_AUTO_TEST_CASE(takes_framed_output_apart_wherever_it_is_cut) {
  using namespace std::string_literals;
  const std::string bytes = "\1\0\0\0\0\0\0\3out"s + "\2\0\0\0\0\0\0\3err"s + "\1\0\0\0\0\0\0\0"s + "\1\0\0\0\0\0\0\1!"s;
  for (std::size_t cut = 1; cut <= bytes.size(); ++cut) {
    RawStream frames;
    std::string out, err;
    const auto sink = [&](int stream, std::string_view piece) { (stream == 1 ? out : err) += piece; };
    for (std::size_t at = 0; at < bytes.size(); at += cut) frames.feed(std::string_view(bytes).substr(at, cut), sink);
    BOOST_TEST(out == "out!");
    BOOST_TEST(err == "err");
  }
  RawStream frames;
  BOOST_CHECK_THROW(frames.feed("plain terminal output", [](int, std::string_view) {}), Error);
}

BOOST_AUTO_TEST_CASE(runs_a_program_over_an_upgraded_connection) {
  using namespace std::string_literals;
  RecordedEngine engine(path(), {docker_ping(), reply(201, R"({"Id":"e1"})"),
                                 "HTTP/1.1 101 UPGRADED\r\nUpgrade: tcp\r\n\r\n"s + "\1\0\0\0\0\0\0\2hi"s});
  Api docker = api();
  Api::ExecStream exec = docker.exec("run it", "x", boost::json::object{{"Cmd", boost::json::array{"true"}}});
  BOOST_TEST(exec.id == "e1");
  BOOST_TEST(static_cast<bool>(exec.stream.socket));
  BOOST_TEST(engine.requests()[2].find("POST /v1.41/exec/e1/start ") == 0u);
}

BOOST_AUTO_TEST_CASE(reads_the_engines_times) {
  BOOST_TEST(time_ms("1970-01-01T00:00:01Z") == 1000);
  BOOST_TEST(time_ms("2026-11-23T19:57:12.279747733Z") == 1795463832279);
  BOOST_TEST(time_ms("2026-11-23T20:57:12.2+01:00") == 1795463832200);
  BOOST_TEST(time_ms("0001-01-01T00:00:00Z") == 0);
  BOOST_TEST(time_ms("2 minutes ago") == 0);
  BOOST_TEST(time_ms("") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
