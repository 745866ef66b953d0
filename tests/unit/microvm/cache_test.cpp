#include <boost/test/unit_test.hpp>

#include <sys/stat.h>
#include <sys/time.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "cache.hpp"
#include "sandbox.hpp"

using kortex::microvm::Cache;

namespace {

struct Fixture {
  Fixture() : cache(sandbox.path().string()) {}
  std::string made(const std::string& name) {
    return cache.get(name, [&](const std::string& fresh) {
      ++made_count;
      std::ofstream(fresh) << "content";
    });
  }
  static void age(const std::string& path) {
    const timeval long_ago[2] = {{1000, 0}, {1000, 0}};
    BOOST_REQUIRE(::utimes(path.c_str(), long_ago) == 0);
  }
  kortex::test::Sandbox sandbox;
  Cache cache;
  int made_count = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(cache, Fixture)

BOOST_AUTO_TEST_CASE(makes_an_entry_once) {
  BOOST_TEST(made("root-1") == made("root-1"));
  BOOST_TEST(made_count == 1);
}

BOOST_AUTO_TEST_CASE(keeps_nothing_of_what_failed) {
  const auto failing = [](const std::string& fresh) {
    std::ofstream(fresh) << "half";
    throw std::runtime_error("no");
  };
  BOOST_CHECK_THROW((void)cache.get("root-1", failing), std::runtime_error);
  BOOST_TEST(std::filesystem::is_empty(sandbox.path()));
}

BOOST_AUTO_TEST_CASE(prunes_what_is_old_and_in_nobodys_use) {
  const std::string used = made("root-used"), unused = made("root-unused"), fresh = made("root-fresh");
  const std::string other = (sandbox.path() / "somebody-elses").string();
  std::ofstream(other) << "x";
  cache.use(used, (sandbox.path() / "link").string());
  for (const std::string& path : {used, unused, other}) age(path);
  cache.prune();
  BOOST_TEST(std::filesystem::exists(used));
  BOOST_TEST(!std::filesystem::exists(unused));
  BOOST_TEST(std::filesystem::exists(fresh));
  BOOST_TEST(std::filesystem::exists(other));
}

BOOST_AUTO_TEST_SUITE_END()
