#include "system/suggestions.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex::host;
using Names = std::vector<std::string>;

BOOST_AUTO_TEST_SUITE(suggestions)

BOOST_AUTO_TEST_CASE(names_the_nearest_first) {
  BOOST_TEST((nearest("podmn", {"process", "podmen", "podman", "docker"}) == Names{"podman", "podmen"}));
  BOOST_TEST((nearest("dokcer", {"docker"}) == Names{"docker"}));
}

BOOST_AUTO_TEST_CASE(names_three_at_most_and_nothing_far) {
  BOOST_TEST(nearest("aaaa", {"aaab", "aaac", "aaad", "aaae"}).size() == 3u);
  BOOST_TEST(nearest("list", {"terminal", "stop"}).empty());
  BOOST_TEST(nearest("vm", {"ab", "xy"}).empty());
  BOOST_TEST(nearest("", {"ab"}).empty());
  BOOST_TEST(nearest("x", {}).empty());
}

BOOST_AUTO_TEST_SUITE_END()
