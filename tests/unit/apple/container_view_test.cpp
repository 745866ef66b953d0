#include "container_view.hpp"

#include <boost/test/unit_test.hpp>

#include "refusal.hpp"

using namespace kortex::apple;
using kortex::test::expect_error;

namespace {

// Derived from the sources of the tagged versions; nothing here is recorded from a Mac.
constexpr const char* before_1_0 = R"([{"status":"running","networks":[{"network":"default","hostname":"w","ipv4Address":"192.168.64.3\/24","ipv4Gateway":"192.168.64.1"}],
  "startedDate":817000000.5,"configuration":{"id":"w","image":{"reference":"docker.io\/library\/debian:stable-slim"},"labels":{"io.kortex.key":"k","empty":""},
  "platform":{"os":"linux","architecture":"arm64"},"initProcess":{"environment":["PATH=\/bin"]},
  "publishedPorts":[{"hostAddress":"127.0.0.1","hostPort":8080,"containerPort":80,"proto":"tcp"}]}}])";
constexpr const char* since_1_0 = R"([{"id":"w","configuration":{"id":"w","creationDate":"2026-05-11T17:21:12Z","labels":{"io.kortex.key":"k"},"platform":{"architecture":"amd64"}},
  "status":{"state":"running","startedDate":"2026-05-11T17:21:13Z","networks":[{"ipv4Address":"192.168.64.4\/24"}]}}])";

ContainerView only(const std::string& text) {
  const std::vector<ContainerView> views = views_of(text, "inspect", Version{1, 2, 3});
  BOOST_REQUIRE(views.size() == 1);
  return views.front();
}

void refuses(const std::string& text, const std::string& why) {
  expect_error([&] { (void)only(text); }, KORTEX_E_BACKEND, "cannot understand what container 1.2.3 says: " + why);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(container_view)

BOOST_AUTO_TEST_CASE(reads_the_shape_before_1_0) {
  const ContainerView view = only(before_1_0);
  BOOST_TEST((view.word == ContainerView::Word::running));
  BOOST_TEST(view.id == "w");
  BOOST_TEST(view.label("io.kortex.key") == "k");
  BOOST_TEST(view.label("nothing") == "");
  BOOST_TEST(view.started_ms == 978307200000 + 817000000500);
  BOOST_TEST(view.architecture == "arm64");
  BOOST_TEST(view.address == "192.168.64.3");
  BOOST_TEST_REQUIRE(view.forwards.size() == 1U);
  BOOST_TEST(view.forwards[0].port == 8080);
  BOOST_TEST(view.environment.as_array().size() == 1U);
}

BOOST_AUTO_TEST_CASE(reads_the_shape_since_1_0) {
  const ContainerView view = only(since_1_0);
  BOOST_TEST((view.word == ContainerView::Word::running));
  BOOST_TEST(view.created_ms == 1778520072000);
  BOOST_TEST(view.started_ms == 1778520073000);
  BOOST_TEST(view.address == "192.168.64.4");
  BOOST_TEST(view.architecture == "amd64");
}

BOOST_AUTO_TEST_CASE(reads_the_address_of_the_oldest) {
  BOOST_TEST(only(R"([{"status":"running","networks":[{"address":"192.168.64.9/24"}],"configuration":{"id":"w"}}])").address == "192.168.64.9");
}

BOOST_AUTO_TEST_CASE(knows_each_state_and_no_other) {
  const auto with = [](const std::string& status) { return R"([{"status":)" + status + R"(,"configuration":{"id":"w"}}])"; };
  BOOST_TEST((only(with(R"("stopped")")).word == ContainerView::Word::stopped));
  BOOST_TEST((only(with(R"({"state":"stopping"})")).word == ContainerView::Word::stopping));
  BOOST_TEST((only(with(R"("unknown")")).word == ContainerView::Word::unknown));
  refuses(with(R"("paused")"), "a container is 'paused'");
  refuses(with(R"({"state":1})"), "a container is ''");
  refuses(with(R"(["running"])"), "a container's status is neither a word nor has it a state");
  refuses(with(R"({"phase":"running"})"), "a container's status is neither a word nor has it a state");
}

BOOST_AUTO_TEST_CASE(refuses_what_it_does_not_understand) {
  refuses(std::string(since_1_0).substr(0, 100), "asked to inspect, it printed no JSON");
  refuses("", "asked to inspect, it printed no JSON");
  refuses("{}", "asked to inspect, it printed no list");
  refuses("[{}]", "a container has no configuration or no status");
  refuses(R"([{"status":"running","configuration":{}}])", "a container has no id");
  BOOST_TEST(views_of("[]", "inspect", {}).empty());
}

BOOST_AUTO_TEST_CASE(reads_images_of_both_shapes) {
  const auto names = image_names(R"([{"reference":"docker.io/library/alpine:latest","descriptor":{}},{"id":"x","name":"n","configuration":{"reference":"localhost/y:1"}}])", {});
  BOOST_TEST(names == (std::vector<std::string>{"docker.io/library/alpine:latest", "localhost/y:1"}), boost::test_tools::per_element());
  BOOST_TEST(full_image_name("debian") == "docker.io/library/debian:latest");
  BOOST_TEST(full_image_name("me/thing:2") == "docker.io/me/thing:2");
  BOOST_TEST(full_image_name("ghcr.io/me/thing") == "ghcr.io/me/thing:latest");
  BOOST_TEST(full_image_name("localhost:5000/x@sha256:00") == "localhost:5000/x@sha256:00");
}

BOOST_AUTO_TEST_CASE(finds_versions) {
  BOOST_TEST((Version::find_in("container CLI version 1.2.2 (build: release, commit: 1234567)") == Version{1, 2, 2}));
  BOOST_TEST((Version::find_in("container CLI version 0.12") == Version{0, 12, 0}));
  BOOST_TEST((Version::find_in("container CLI version 1.0.0-23-g7b94575") == Version{1, 0, 0}));
  BOOST_TEST(!Version::find_in("container 7 of 9"));
  BOOST_TEST((Version{0, 12, 3} < Version{1, 0, 0}));
}

BOOST_AUTO_TEST_SUITE_END()
