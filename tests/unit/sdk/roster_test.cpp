#include <time.h>

#include <kortex/roster.hpp>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "sandbox.hpp"

using kortex::KeyValues;
using kortex::Roster;
namespace fs = std::filesystem;

namespace {

void add(const Roster& roster, const char* key, const std::string& directory, const KeyValues& labels) {
  kortex_ref ref{};
  ref.struct_size = sizeof ref;
  ref.key = key;
  ref.state_dir = directory.c_str();
  roster.add(kortex::Ref(&ref), labels);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(roster)

BOOST_AUTO_TEST_CASE(what_was_added_is_told_until_it_is_removed) {
  const kortex::test::Sandbox sandbox;
  const Roster roster(sandbox.path().string());
  BOOST_TEST(roster.all().empty());
  BOOST_TEST(!fs::exists(sandbox.path() / "instances"));
  const KeyValues labels{{"io.kortex.store", "a=b"}, {"empty", ""}};
  add(roster, "k1", "/its own/directory", labels);
  add(roster, "k1", "/its own/directory", labels);
  BOOST_REQUIRE(roster.all().size() == 1u);
  const Roster::Entry entry = roster.all().front();
  BOOST_TEST(entry.key == "k1");
  BOOST_TEST(entry.directory == "/its own/directory");
  BOOST_TEST((entry.labels == labels));
  BOOST_TEST(entry.created_ms > (std::int64_t{::time(nullptr)} - 60) * 1000);
  BOOST_TEST(entry.created_ms < (std::int64_t{::time(nullptr)} + 60) * 1000);
  std::ofstream(sandbox.path() / "instances/k1.new") << "of an add() that was killed";
  BOOST_TEST(roster.has("k1"));
  BOOST_TEST(!roster.has("k2"));
  roster.remove("k1");
  roster.remove("k1");
  BOOST_TEST(!roster.has("k1"));
  BOOST_TEST(roster.all().empty());
  BOOST_TEST(fs::is_empty(sandbox.path() / "instances"));
}

BOOST_AUTO_TEST_CASE(a_line_break_makes_no_line_of_its_own) {
  const kortex::test::Sandbox sandbox;
  const Roster roster(sandbox.path().string());
  add(roster, "k", "/a\nlabel io.kortex.store=forged", {{"l", "1\nlabel m=2"}, {"n\no", "3"}, {"p", "4"}});
  const Roster::Entry entry = roster.all().front();
  BOOST_TEST(entry.directory.empty());
  BOOST_TEST((entry.labels == KeyValues{{"p", "4"}}));
}

BOOST_AUTO_TEST_CASE(what_is_being_written_and_what_is_damaged_is_no_trouble) {
  const kortex::test::Sandbox sandbox;
  const Roster roster(sandbox.path().string());
  add(roster, "k", "/d", {});
  std::ofstream(sandbox.path() / "instances/other.new") << "directory /e\n";
  std::ofstream(sandbox.path() / "instances/odd") << "label\nlabel x\n\n=\ndirectory";
  std::size_t odd = 0;
  for (const Roster::Entry& entry : roster.all()) {
    BOOST_TEST((entry.key == "k" || entry.key == "odd"));
    odd += entry.key == "odd" && entry.directory.empty() && entry.labels.empty() ? 1 : 0;
  }
  BOOST_TEST(odd == 1u);
  BOOST_TEST(roster.all().size() == 2u);
}

BOOST_AUTO_TEST_CASE(a_place_that_cannot_be_written_is_an_error) {
  const kortex::test::Sandbox sandbox;
  const std::string file = (sandbox.path() / "file").string();
  std::ofstream{file} << "x";
  BOOST_CHECK_THROW(add(Roster(file), "k", "/d", {}), std::system_error);
}

BOOST_AUTO_TEST_SUITE_END()
