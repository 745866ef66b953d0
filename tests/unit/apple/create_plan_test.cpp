#include "create_plan.hpp"

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <fstream>

#include "refusal.hpp"
#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::apple;
using kortex::test::expect_error;
using kortex::test::Sandbox;

namespace {

engine::Container small() {
  engine::Container out;
  out.name = "kortex-1";
  out.image = "debian";
  out.identity.uid = 501;
  out.identity.gid = 20;
  return out;
}

bool has(const std::vector<std::string>& words, const std::string& option, const std::string& value) {
  for (auto at = words.begin(); (at = std::find(at, words.end(), option)) != words.end(); ++at)
    if (std::next(at) != words.end() && *std::next(at) == value) return true;
  return false;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(create_plan)

BOOST_AUTO_TEST_CASE(flags_come_before_the_image_and_the_program_after_it) {
  const Sandbox place;
  const auto words = create_arguments(small(), place.path().string(), {1, 2, 0});
  const auto image = std::find(words.begin(), words.end(), "debian");
  BOOST_REQUIRE(image != words.end());
  const std::vector<std::string> rest(std::next(image), words.end());
  BOOST_TEST(rest == (std::vector<std::string>{"serve", "--dir", engine::holder_directory, "--socket", socket_path}), boost::test_tools::per_element());
  BOOST_TEST(has(words, "--entrypoint", holder_path));
  BOOST_TEST(has(words, "--uid", "501"));
  BOOST_TEST(has(words, "--gid", "20"));
  BOOST_TEST(has(words, "--volume", place.path().string() + ":" + program_directory + ":ro"));
  BOOST_TEST(has(words, "--tmpfs", socket_directory));
  BOOST_TEST(std::count(words.begin(), words.end(), "--") == 0);
  BOOST_TEST(std::count(words.begin(), words.end(), "--network") == 0);
}

BOOST_AUTO_TEST_CASE(limits_ports_and_the_network_are_in_the_tools_words) {
  const Sandbox place;
  engine::Container container = small();
  container.cpus_milli = 2000;
  container.memory_bytes = std::int64_t{512} << 20;
  container.network = false;
  container.ports = {{80, 8080, "127.0.0.1"}, {90, 9090, "::1"}};
  const auto words = create_arguments(container, place.path().string(), {1, 2, 0});
  BOOST_TEST(has(words, "--cpus", "2"));
  BOOST_TEST(has(words, "--memory", "512M"));
  BOOST_TEST(has(words, "--network", "none"));
  BOOST_TEST(has(words, "--publish", "127.0.0.1:8080:80/tcp"));
  BOOST_TEST(has(words, "--publish", "[::1]:9090:90/tcp"));
}

BOOST_AUTO_TEST_CASE(labels_with_an_equals_sign_are_left_out) {
  const Sandbox place;
  engine::Container container = small();
  container.labels = {{"io.kortex.key", "k"}, {"io.kortex.name", "a=b"}};
  const auto words = create_arguments(container, place.path().string(), {1, 2, 0});
  BOOST_TEST(has(words, "--label", "io.kortex.key=k"));
  BOOST_TEST(std::count(words.begin(), words.end(), "--label") == 1);
}

BOOST_AUTO_TEST_CASE(paths_are_given_in_the_form_that_can_hold_them) {
  const Sandbox place;
  const auto folder = [&](const std::string& name) {
    std::filesystem::create_directories(place / name);
    return (place / name).string();
  };
  engine::Container container = small();
  container.mounts = {{folder("with:colon"), "/mnt/a", true, false}, {"", "/src/store", false, false}};
  const auto words = create_arguments(container, folder("program"), {1, 2, 0});
  BOOST_TEST(has(words, "--mount", "type=virtiofs,source=" + folder("with:colon") + ",target=/mnt/a,readonly"));
  BOOST_TEST(has(words, "--mount", "type=tmpfs,target=/src/store"));
  container.mounts = {{folder("with:colon,and=more"), "/mnt/a", false, false}};
  expect_error([&] { (void)create_arguments(container, folder("program"), {1, 2, 0}); }, KORTEX_E_UNSUPPORTED,
               "cannot mount '" + folder("with:colon,and=more") + "': Apple's container cannot be given such a path");
}

BOOST_AUTO_TEST_CASE(a_single_file_is_refused_where_it_cannot_be_mounted) {
  const Sandbox place;
  std::ofstream(place / "file") << "x";
  const std::string file = (place / "file").string();
  engine::Container container = small();
  container.mounts = {{file, "/mnt/file", true, false}};
  BOOST_TEST(has(create_arguments(container, place.path().string(), {0, 9, 0}), "--volume", file + ":/mnt/file:ro"));
  expect_error([&] { (void)create_arguments(container, place.path().string(), {0, 8, 0}); }, KORTEX_E_UNSUPPORTED,
               "cannot mount '" + file + "': container 0.8.0 mounts folders only");
  BOOST_TEST(!can_mount(container.mounts, {0, 8, 0}));
  BOOST_TEST(can_mount({{place.path().string(), "/mnt", false, false}}, {0, 8, 0}));
  BOOST_TEST(!can_mount({}, {0, 8, 0}));
  BOOST_TEST(can_mount({}, {0, 9, 0}));
}

BOOST_AUTO_TEST_CASE(what_a_machine_cannot_have_is_refused) {
  Workspace workspace;
  for (const int cpus_milli : {500, 1500}) {
    workspace.cpus_milli = cpus_milli;
    expect_error([&] { check_limits(workspace); }, KORTEX_E_UNSUPPORTED, "cannot give the agent a part of a processor: a virtual machine has whole ones");
  }
  workspace.cpus_milli = 1000;
  workspace.memory_bytes = 1 << 20;
  expect_error([&] { check_limits(workspace); }, KORTEX_E_UNSUPPORTED, "cannot run the agent in less than 200 MiB of memory: Apple's container does not");
  workspace.memory_bytes = std::int64_t{200} << 20;
  check_limits(workspace);
  workspace.network_denied = true;
  check_network(workspace, {1, 1, 0});
  expect_error([&] { check_network(workspace, {1, 0, 5}); }, KORTEX_E_UNSUPPORTED, "cannot deny the network: container 1.0.5 cannot, 1.1.0 can");
}

BOOST_AUTO_TEST_SUITE_END()
