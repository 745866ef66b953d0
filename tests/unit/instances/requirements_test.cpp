#include "instances/requirements.hpp"

#include "expect_error.hpp"

namespace {

using namespace kortex::host;
using kortex::test::error_of;

using Words = std::vector<std::string>;
const Guarantees nothing{Isolation::process, 0, {}};

}  // namespace

BOOST_AUTO_TEST_SUITE(requirements)

BOOST_AUTO_TEST_CASE(what_is_not_asked_for_is_not_missed) {
  BOOST_TEST(uncovered({}, false, {}, nothing).empty());
}

BOOST_AUTO_TEST_CASE(everything_that_is_asked_for_and_not_enforced_is_listed) {
  WorkspaceSpec spec;
  spec.mounts = {{"/a", "/a", true, false}, {"/b", "/b", true, false}};
  spec.ports = {{80, 0, ""}};
  spec.network = {Network::Mode::deny, {"a.b"}};
  spec.resources = {1, 1, 1};
  spec.image = "x";
  spec.build_context = "/x";
  BOOST_TEST(uncovered(spec, true, {}, nothing) ==
                 (Words{"a network of just the hosts named ('deny' with hosts)", "mounts", "read-only mounts", "ports", "a limit of processors",
                        "a limit of memory", "a limit of processes", "images", "building an image"}),
             boost::test_tools::per_element());
  BOOST_TEST(uncovered(spec, true, {}, {Isolation::none, ~std::uint64_t{0}, {}}).empty());
}

BOOST_AUTO_TEST_CASE(allow_counts_only_when_it_is_said) {
  BOOST_TEST(uncovered({}, true, {}, nothing) == (Words{"the host's network ('allow')"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(requires_a_level_of_isolation) {
  BOOST_TEST(uncovered({}, false, {{"isolation", "container"}}, nothing) == (Words{"isolation 'container' (it has 'process')"}),
             boost::test_tools::per_element());
  BOOST_TEST(uncovered({}, false, {{"isolation", "process"}}, nothing).empty());
  BOOST_TEST(uncovered({}, false, {{"isolation", "none"}}, nothing).empty());
}

BOOST_AUTO_TEST_CASE(a_required_denial_needs_the_runtime_and_the_configuration) {
  WorkspaceSpec spec;
  const Error error = error_of([&] { check_required_network(spec, {{"network", "deny"}}, "w"); });
  BOOST_TEST(error.message() == "network 'deny' is required, but the configuration asks for 'allow'");
  BOOST_TEST(error.hint() == "write \"network\": {} in w");
  BOOST_TEST(static_cast<int>(error.kind()) == 7);
  spec.network.mode = Network::Mode::deny;
  BOOST_CHECK_NO_THROW(check_required_network(spec, {{"network", "deny"}}, "w"));
  BOOST_CHECK_NO_THROW(check_required_network(spec, {{"network", "deny-hosts"}, {"memory", "true"}}, "w"));
  BOOST_TEST(uncovered(spec, true, {{"network", "deny"}}, nothing) == (Words{"no network ('deny')"}), boost::test_tools::per_element());
  spec.network.hosts = {"a.b"};
  BOOST_TEST(error_of([&] { check_required_network(spec, {{"network", "deny"}}, "w"); }).message() ==
             "network 'deny' is required, but the configuration asks for 'deny-hosts'");
}

BOOST_AUTO_TEST_CASE(refuses_requirements_it_does_not_know) {
  const Error key = error_of([] { check_requirements({{"isolaton", "process"}}); });
  BOOST_TEST(key.message() == "--require: unknown key 'isolaton'");
  BOOST_TEST(key.hint() == "did you mean 'isolation'?");
  BOOST_TEST(static_cast<int>(key.kind()) == 2);
  const Error value = error_of([] { check_requirements({{"isolation", "concrete"}}); });
  BOOST_TEST(value.message() == "--require isolation: 'concrete' is not a value of it");
  BOOST_TEST(value.hint() == "one of none, process, container, microvm");
  BOOST_TEST(error_of([] { check_requirements({{"tty", "false"}}); }).message() == "--require tty takes no value, but 'false' is given");
  BOOST_TEST(error_of([] { check_requirements({{"tty", "false"}}); }).hint() == "--require tty");
  BOOST_TEST(error_of([] { check_requirements({{"memory", "4GiB"}}); }).hint() ==
             "--require memory; how much is for \"resources\" of workspace.json");
  BOOST_CHECK_NO_THROW(check_requirements({{"memory", "true"}, {"network", "deny-hosts"}, {"detach", "true"}}));
}

BOOST_AUTO_TEST_SUITE_END()
