#include "fixture.hpp"

namespace fs = std::filesystem;
using namespace kortex::host;
using namespace kortex::test;

namespace {

std::vector<std::string> origins(const std::vector<SearchDirectory>& path) {
  std::vector<std::string> result;
  for (const SearchDirectory& directory : path) result.push_back(directory.origin);
  return result;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(registry)

BOOST_AUTO_TEST_CASE(orders_the_search_path) {
  SearchPathInputs inputs;
  inputs.flags = {"/f1", "/f2"};
  inputs.variable = "/v1:/v2";
  inputs.home = "/nowhere/home";
  inputs.binary = "/nowhere/opt/bin/kortex-cli";
  const auto path = search_path(inputs);
  BOOST_TEST_REQUIRE(path.size() >= 8);
  BOOST_TEST(path[0].path == "/f1");
  BOOST_TEST(path[1].path == "/f2");
  BOOST_TEST(path[2].path == "/v1");
  BOOST_TEST(path[3].path == "/v2");
  BOOST_TEST(path[4].path == "/nowhere/home/.local/lib/kortex/runtimes");
  BOOST_TEST(path[5].path == "/nowhere/opt/lib/kortex/runtimes");
  BOOST_TEST(path.back().path == "/usr/lib/kortex/runtimes");
  const auto names = origins(path);
  BOOST_TEST(names[0] == "--runtime-path");
  BOOST_TEST(names[2] == "KORTEX_CLI_RUNTIME_PATH");
  BOOST_TEST(names[4] == "user");
  BOOST_TEST(names[5] == "bundled");
  BOOST_TEST(names.back() == "system");
  inputs.binary = "/usr/bin/kortex-cli";
  for (const SearchDirectory& directory : search_path(inputs)) BOOST_TEST(directory.origin != "bundled");
}

BOOST_AUTO_TEST_CASE(counts_a_directory_once_whatever_its_name) {
  Sandbox sandbox;
  fs::create_directory(sandbox / "a");
  fs::create_directory_symlink(sandbox / "a", sandbox / "b");
  SearchPathInputs inputs;
  const std::size_t standard = search_path(inputs).size();
  inputs.flags = {(sandbox / "a").string(), (sandbox / "b").string(), (sandbox / "a").string() + "/", "/x/../x", "/x"};
  BOOST_TEST(search_path(inputs).size() == standard + 2);
}

BOOST_AUTO_TEST_CASE(refuses_entries_that_are_not_absolute) {
  SearchPathInputs inputs;
  inputs.flags = {"plugins"};
  Error error = error_of([&] { static_cast<void>(search_path(inputs)); });
  BOOST_TEST(error.message() == "invalid entry 'plugins' in --runtime-path: not an absolute path");
  BOOST_TEST(status_of(error) == 2);
  inputs.flags.clear();
  inputs.variable = "/a::/b";
  error = error_of([&] { static_cast<void>(search_path(inputs)); });
  BOOST_TEST(error.message() == "invalid entry '' in KORTEX_CLI_RUNTIME_PATH: not an absolute path");
  inputs.variable = "";
  BOOST_TEST(!search_path(inputs).empty());
}

BOOST_AUTO_TEST_CASE(reads_the_options_of_a_note) {
  Sandbox sandbox;
  install_plugin(sandbox / "1", "other-options");
  install_plugin(sandbox / "1", "good");
  const Registry registry({{sandbox / "1", "a"}});
  const PluginFile noted = registry.find("other-options");
  BOOST_TEST_REQUIRE(noted.descriptor->options.size() == 1);
  BOOST_TEST(noted.descriptor->options[0].name == "colour");
  BOOST_TEST(noted.descriptor->options[0].values.empty());
  BOOST_TEST(registry.find("good").descriptor->options.empty());
}

BOOST_AUTO_TEST_CASE(finds_the_first_usable_file) {
  Sandbox sandbox;
  install_plugin(sandbox / "2", "good");
  install_plugin(sandbox / "3", "good");
  fs::create_directory(sandbox / "1");
  std::ofstream(sandbox / "1" / plugin_file_name("good")) << "damaged";
  const Registry registry({{sandbox / "1", "a"}, {sandbox / "2", "b"}, {sandbox / "3", "c"}});
  const PluginFile found = registry.find("good");
  BOOST_TEST(found.path == sandbox / "2" / plugin_file_name("good"));
  BOOST_TEST(found.origin == "b");
  const auto all = registry.scan();
  BOOST_TEST_REQUIRE(all.size() == 3);
  BOOST_TEST(all[0].refusal == "it is not an ELF file");
  BOOST_TEST(!all[0].shadowed);
  BOOST_TEST((all[1].loadable() && !all[1].shadowed));
  BOOST_TEST((all[2].loadable() && all[2].shadowed));
}

BOOST_AUTO_TEST_CASE(keeps_the_reason_of_each_rejected_plugin) {
  Sandbox sandbox;
  install_plugin(sandbox / "1", "newer-major");
  fs::create_directory(sandbox / "2");
  std::ofstream(sandbox / "2" / plugin_file_name("newer-major"));
  const Registry registry({{sandbox / "1", "a"}, {sandbox / "2", "b"}});
  const Error error = error_of([&] { static_cast<void>(registry.find("newer-major")); });
  BOOST_TEST(status_of(error) == 4);
  BOOST_TEST(error.message() == "cannot use runtime 'newer-major' from '" + (sandbox / "1" / plugin_file_name("newer-major")).string() +
                                    "': it is built for runtime ABI 2.0, this kortex-cli provides 1.0: update kortex-cli");
  BOOST_TEST(error.detail() == (sandbox / "2" / plugin_file_name("newer-major")).string() + ": the file is empty");
}

BOOST_AUTO_TEST_CASE(helps_when_there_is_no_such_runtime) {
  Sandbox sandbox;
  const Registry registry({{sandbox.path(), "a"}});
  Error error = error_of([&] { static_cast<void>(registry.find("podmn")); });
  BOOST_TEST(error.message() == "no runtime 'podmn'");
  BOOST_TEST(error.hint() == "no runtime is installed; 'kortex-cli runtime install FILE' installs one");
  BOOST_TEST(status_of(error) == 4);
  std::ofstream(sandbox / plugin_file_name("podman"));
  std::ofstream(sandbox / plugin_file_name("vm"));
  std::ofstream(sandbox / "libkortex-runtime-Bad.so");
  error = error_of([&] { static_cast<void>(registry.find("podmn")); });
  BOOST_TEST(error.hint() == "did you mean 'podman'? 'kortex-cli runtime list' shows all");
  error = error_of([&] { static_cast<void>(registry.find("../elsewhere")); });
  BOOST_TEST(error.message() == "no runtime '../elsewhere'");
  BOOST_TEST(error.hint() == "installed: podman, vm; 'kortex-cli runtime list' tells more");
}

BOOST_AUTO_TEST_CASE(scans_past_directories_that_are_not_there) {
  Sandbox sandbox;
  install_plugin(sandbox / "2", "good");
  const Registry registry({{sandbox / "1", "a"}, {sandbox / "2", "b"}});
  BOOST_TEST(registry.scan().size() == 1);
}

BOOST_AUTO_TEST_SUITE_END()
