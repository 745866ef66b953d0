#include "engine/instance_view.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex;
using namespace kortex::engine;

BOOST_AUTO_TEST_SUITE(instance_view)

BOOST_AUTO_TEST_CASE(knows_the_words_of_both_engines) {
  const auto is = [](const char* word, State state) { return state_of(word) == state; };
  BOOST_TEST(is("created", State::created));
  BOOST_TEST(is("configured", State::created));
  BOOST_TEST(is("running", State::running));
  BOOST_TEST(is("paused", State::paused));
  BOOST_TEST(is("stopping", State::stopping));
  // Podman says "stopped" for a moment before "exited".
  BOOST_TEST(is("stopped", State::stopped));
  BOOST_TEST(is("exited", State::stopped));
  BOOST_TEST(is("dead", State::failed));
  BOOST_TEST(is("", State::unknown));
  BOOST_TEST(is("Up 3 minutes", State::unknown));
}

// Recorded: docker 20.10.24.
BOOST_AUTO_TEST_CASE(reads_a_running_container_with_its_ports) {
  const Instance out = from_inspect(json::parse(R"({"Id":"d5b4760844494b8a","Created":"2026-11-23T19:57:40.848060688Z","Name":"/kt1",
    "State":{"Status":"running","Running":true,"Pid":26621,"ExitCode":0,"StartedAt":"2026-11-23T19:57:41.264536339Z","FinishedAt":"0001-01-01T00:00:00Z"},
    "Config":{"Image":"localhost/a:1","User":"1000:1000","Labels":{"io.kortex.key":"k1"}},
    "NetworkSettings":{"Ports":{"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":"42925"}],"9090/tcp":null}}})"));
  BOOST_TEST((out.state == State::running));
  BOOST_TEST(out.id == "d5b4760844494b8a");
  BOOST_TEST(out.key == "k1");
  BOOST_TEST(out.pid == 26621);
  BOOST_TEST(out.started_ms == 1795463861264);
  BOOST_TEST(out.finished_ms == 0);
  BOOST_TEST(out.exit_code == -1);
  BOOST_REQUIRE(out.forwards.size() == 1);
  BOOST_TEST(out.forwards[0].target == 8080);
  BOOST_TEST(out.forwards[0].port == 42925);
  BOOST_TEST(out.forwards[0].bind == "127.0.0.1");
  BOOST_TEST(out.details_json == R"({"container":"d5b476084449","container_name":"kt1","image":"localhost/a:1","user":"1000:1000"})");
}

BOOST_AUTO_TEST_CASE(an_ended_container_keeps_its_exit_status_and_has_no_ports) {
  const Instance out = from_inspect(json::parse(R"({"Id":"a","State":{"Status":"exited","Pid":0,"ExitCode":137,"OOMKilled":true,
    "FinishedAt":"2026-11-23T19:57:41.5Z"},"NetworkSettings":{"Ports":{"8080/tcp":[{"HostIp":"","HostPort":"42925"}]}}})"));
  BOOST_TEST((out.state == State::stopped));
  BOOST_TEST(out.exit_code == 137);
  BOOST_TEST(out.finished_ms == 1795463861500);
  BOOST_TEST(out.forwards.empty());
  BOOST_TEST(out.status == "ended for want of memory");
}

// Recorded: docker 20.10.24.
BOOST_AUTO_TEST_CASE(reads_dockers_list) {
  const Instance out = from_docker_list(json::parse(R"({"Id":"cbf3","Names":["/kt1"],"Created":1795463831,"Ports":[{"IP":"127.0.0.1",
    "PrivatePort":80,"PublicPort":49153,"Type":"tcp"},{"PrivatePort":81,"Type":"tcp"}],"Labels":{"io.kortex.key":"k1"},
    "State":"exited","Status":"Exited (137) Less than a second ago"})"));
  BOOST_TEST((out.state == State::stopped));
  BOOST_TEST(out.exit_code == 137);
  BOOST_TEST(out.key == "k1");
  BOOST_TEST(out.created_ms == 1795463831000);
  BOOST_REQUIRE(out.forwards.size() == 1);
  BOOST_TEST(out.forwards[0].port == 49153);
}

// Recorded: podman 4.3.1.
BOOST_AUTO_TEST_CASE(reads_podmans_list) {
  const char* recorded = R"({"AutoRemove":false,"Command":["1000"],"Created":"2026-11-23T19:57:40.848060688Z","CreatedAt":"","Exited":%s,
    "ExitedAt":%s,"ExitCode":%s,"Id":"d5b4","Labels":{"io.kortex.key":"k1"},"Names":["kt1"],"Pid":%s,
    "Ports":[{"host_ip":"127.0.0.1","container_port":8080,"host_port":42925,"range":1,"protocol":"tcp"}],"StartedAt":%s,"State":"%s","Status":""})";
  const auto with = [recorded](std::initializer_list<const char*> values) {
    std::string text = recorded;
    for (const char* value : values) text.replace(text.find("%s"), 2, value);
    return from_libpod_list(json::parse(text));
  };
  const Instance running = with({"false", "-62135596800", "0", "26621", "1795463861", "running"});
  BOOST_TEST((running.state == State::running));
  BOOST_TEST(running.pid == 26621);
  BOOST_TEST(running.started_ms == 1795463861000);
  BOOST_TEST(running.exit_code == -1);
  BOOST_TEST(running.forwards.size() == 1u);
  const Instance ended = with({"true", "1795463861", "3", "0", "1795463861", "exited"});
  BOOST_TEST(ended.exit_code == 3);
  BOOST_TEST(ended.finished_ms == 1795463861000);
  BOOST_TEST(ended.forwards.empty());
  const Instance fresh = with({"false", "-62135596800", "0", "0", "-62135596800", "created"});
  BOOST_TEST((fresh.state == State::created));
  BOOST_TEST(fresh.started_ms == 0);
  BOOST_TEST(fresh.exit_code == -1);
}

BOOST_AUTO_TEST_CASE(survives_answers_of_another_shape) {
  for (const char* text : {"null", "1", "[]", "{}", R"({"State":"x","Config":7,"NetworkSettings":{"Ports":[]}})", R"({"Labels":[1],"Ports":[1,{}]})"}) {
    BOOST_TEST((from_inspect(json::parse(text)).state == State::unknown));
    BOOST_TEST(from_docker_list(json::parse(text)).forwards.empty());
    BOOST_TEST(from_libpod_list(json::parse(text)).key == "");
  }
}

BOOST_AUTO_TEST_CASE(finds_the_exit_status_in_dockers_words) {
  BOOST_TEST(exit_code_in("Exited (0) 2 minutes ago") == 0);
  BOOST_TEST(exit_code_in("Exited (137) Less than a second ago") == 137);
  BOOST_TEST(exit_code_in("Up 3 minutes (Paused)") == -1);
  BOOST_TEST(exit_code_in("Created") == -1);
  BOOST_TEST(exit_code_in("Exited )(") == -1);
}

BOOST_AUTO_TEST_SUITE_END()
