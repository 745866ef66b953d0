#include "engine/holder.hpp"
#include "engine/plan.hpp"

#include <boost/test/unit_test.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "recorded_engine.hpp"
#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::engine;
using namespace kortex::test;

BOOST_AUTO_TEST_SUITE(holder)

BOOST_AUTO_TEST_CASE(waits_until_the_status_file_says_serving) {
  Sandbox sandbox;
  FakeCall fake;
  std::filesystem::create_directories(sandbox / "session");
  const HolderDirectory directory(sandbox.path().string());
  std::thread writer;
  const bool serving = directory.wait_until_serving(
      fake.call(), [] { return true; },
      [&] {
        writer = std::thread([&] {
          std::ofstream out(directory.status(), std::ios::app);
          out << "serv" << std::flush << "ing 17" << std::flush << "95\n" << std::flush;
        });
      });
  writer.join();
  BOOST_TEST(serving);
  directory.clear();
  BOOST_TEST(!std::filesystem::exists(directory.status()));
}

BOOST_AUTO_TEST_CASE(does_not_wait_for_a_container_that_has_ended) {
  Sandbox sandbox;
  FakeCall fake;
  std::filesystem::create_directories(sandbox / "session");
  BOOST_TEST(!HolderDirectory(sandbox.path().string()).wait_until_serving(fake.call(), [] { return false; }, [] {}));
}

BOOST_AUTO_TEST_CASE(what_the_user_asks_for_beats_the_runtime_and_that_the_image) {
  ::setenv("TERM", "tty-of-the-user", 1);
  const std::vector<std::string> out = agent_environment(boost::json::parse(R"(["PATH=/opt/bin","HOME=/image","A=image"])"), "/home/me", "demo", {"A=user", "B=="});
  const auto has = [&](const char* entry) { return std::count(out.begin(), out.end(), entry) == 1; };
  BOOST_TEST(has("PATH=/opt/bin"));
  BOOST_TEST(has("HOME=/home/me"));
  BOOST_TEST(has("A=user"));
  BOOST_TEST(has("B=="));
  BOOST_TEST(has("KORTEX_WORKSPACE=demo"));
  BOOST_TEST(has("TERM=tty-of-the-user"));
  BOOST_TEST(std::count(out.begin(), out.end(), "A=image") == 0);
  const std::vector<std::string> bare = agent_environment(boost::json::value(), "/h", "demo", {});
  BOOST_TEST(std::count(bare.begin(), bare.end(), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin") == 1);
}

BOOST_AUTO_TEST_SUITE_END()
