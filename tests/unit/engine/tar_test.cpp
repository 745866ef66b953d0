#include "engine/tar.hpp"

#include <boost/test/unit_test.hpp>

#include <cstdio>
#include <fstream>
#include <vector>

#include <kortex/error.hpp>

#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::engine;
using namespace kortex::test;

namespace {

std::vector<std::pair<std::string, std::string>> files_of(std::string_view archive) {
  std::vector<std::pair<std::string, std::string>> out;
  read_tar(archive, [&](const std::string& name, std::string_view content) { out.emplace_back(name, std::string(content)); });
  return out;
}

std::string output_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen(command.c_str(), "r");
  char buffer[4096];
  while (pipe != nullptr && std::fgets(buffer, sizeof buffer, pipe) != nullptr) out += buffer;
  if (pipe != nullptr) ::pclose(pipe);
  return out;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(tar)

BOOST_AUTO_TEST_CASE(reads_what_it_wrote) {
  TarWriter writer;
  writer.directory("run", 0755, 0, 0);
  writer.file("run/small", 0644, 1, 2, "text");
  writer.file("run/whole", 0644, 1, 2, std::string(1024, 'x'));
  writer.file("run/empty", 0644, 1, 2, "");
  const auto files = files_of(writer.finish());
  BOOST_REQUIRE(files.size() == 3u);
  BOOST_TEST(files[0].first == "run/small");
  BOOST_TEST(files[0].second == "text");
  BOOST_TEST(files[1].second == std::string(1024, 'x'));
  BOOST_TEST(files[2].second.empty());
}

BOOST_AUTO_TEST_CASE(is_understood_by_tar_itself) {
  const Sandbox sandbox;
  const std::string deep = "a/" + std::string(90, 'd') + "/" + std::string(90, 'e') + "/file";
  TarWriter writer;
  writer.directory("run/kortex", 0700, 1234, 4321);
  writer.file(deep, 0755, 0, 0, "content\n");
  std::ofstream((sandbox / "x.tar").string(), std::ios::binary) << writer.finish();
  const std::string listed = output_of("tar --numeric-owner -tvf '" + (sandbox / "x.tar").string() + "' 2>&1");
  BOOST_TEST(listed.find("drwx------ 1234/4321") == 0u, listed);
  BOOST_TEST(listed.find("-rwxr-xr-x 0/0") != std::string::npos, listed);
  BOOST_TEST(listed.find(deep) != std::string::npos, listed);
  BOOST_TEST(listed.find("tar:") == std::string::npos, listed);
}

BOOST_AUTO_TEST_CASE(refuses_a_path_that_does_not_fit) {
  TarWriter writer;
  BOOST_CHECK_THROW(writer.directory(std::string(150, 'x'), 0755, 0, 0), Error);
  BOOST_CHECK_THROW(writer.directory(std::string(200, 'x') + "/" + std::string(90, 'y'), 0755, 0, 0), Error);
}

BOOST_AUTO_TEST_CASE(a_cut_off_archive_ends_the_reading) {
  TarWriter writer;
  writer.file("one", 0644, 0, 0, "1");
  writer.file("two", 0644, 0, 0, std::string(2000, '2'));
  const std::string whole = writer.finish();
  for (std::size_t size = 0; size < 512 + 512 + 512 + 2000; size += 100) BOOST_TEST(files_of(std::string_view(whole).substr(0, size)).size() == (size > 512u ? 1u : 0u));
  BOOST_TEST(files_of(std::string(4096, 'x')).empty());
}

BOOST_AUTO_TEST_SUITE_END()
