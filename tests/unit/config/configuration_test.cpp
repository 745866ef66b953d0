#include "config/configuration.hpp"

#include <sys/stat.h>

#include <fstream>

#include "expect_error.hpp"
#include "sandbox.hpp"

namespace {

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::error_of;

const PathVariables variables{"/src/shop", "/home/ann"};

Configuration parse(const std::string& text) { return parse_configuration(text, "w", variables); }
Error refusal(const std::string& text) { return error_of([&] { (void)parse(text); }); }
std::string reason(const std::string& text) { return refusal(text).message(); }

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

}  // namespace

BOOST_AUTO_TEST_SUITE(configuration)

BOOST_AUTO_TEST_CASE(reads_the_example_of_the_published_schema_but_for_what_is_not_there_yet) {
  const auto c = parse(R"({"mounts": [{"host": "$SOURCES/../main", "target": "$SOURCES/../main"},
                                      {"host": "$HOME/.gitconfig", "target": "$HOME/.gitconfig", "ro": true},
                                      {"host": "/absolute/path/to/data", "target": "/workspace/data", "optional": true}],
                           "environment": [{"name": "DEBUG", "value": "true"}, {"name": "EMPTY", "value": ""}, {"name": "TOKEN"}],
                           "network": {"mode": "deny", "hosts": ["api.example.com", "10.0.0.0/8"]},
                           "ports": [8080, {"target": 5432, "host": 15432, "bind": "0.0.0.0"}]})");
  BOOST_TEST((c.mounts == std::vector<Mount>{{"/src/main", "/src/main", false, false},
                                             {"/home/ann/.gitconfig", "/home/ann/.gitconfig", true, false},
                                             {"/absolute/path/to/data", "/workspace/data", false, true}}));
  BOOST_REQUIRE(c.environment.size() == 3);
  BOOST_TEST(c.environment[0].value.value() == "true");
  BOOST_TEST(c.environment[1].value.value() == "");
  BOOST_TEST(!c.environment[2].value.has_value());
  BOOST_TEST((c.network == Network{Network::Mode::deny, {"api.example.com", "10.0.0.0/8"}}));
  BOOST_TEST((c.ports == std::vector<Port>{{8080, 0, ""}, {5432, 15432, "0.0.0.0"}}));
}

BOOST_AUTO_TEST_CASE(reads_our_own_keys) {
  const auto c = parse(R"({"agent": "claude", "build": {"context": "docker", "file": "docker/Dev"},
                           "resources": {"cpus": 1.5, "memory": "512MiB", "processes": 100},
                           "runtime_options": {"pull": true, "level": 3, "cap": ["a", "b"], "name": "x"}})");
  BOOST_TEST(c.agent.value() == "claude");
  BOOST_TEST(c.build_context.value() == "/src/shop/docker");
  BOOST_TEST(c.build_file.value() == "/src/shop/docker/docker/Dev");
  BOOST_TEST((c.resources == Resources{1500, 512 * 1024 * 1024, 100}));
  BOOST_TEST((c.runtime_options == KeyValues{{"pull", "true"}, {"level", "3"}, {"cap", "a"}, {"cap", "b"}, {"name", "x"}}));
}

BOOST_AUTO_TEST_CASE(an_empty_network_denies_and_no_network_says_nothing) {
  BOOST_TEST((parse(R"({"network": {}})").network == Network{Network::Mode::deny, {}}));
  BOOST_TEST(!parse("{}").network.has_value());
  BOOST_TEST((parse(R"({"network": {"mode": "allow", "hosts": []}})").network == Network{Network::Mode::allow, {}}));
}

BOOST_AUTO_TEST_CASE(refuses_contradictions) {
  BOOST_TEST(reason(R"({"network": {"mode": "allow", "hosts": ["a.b"]}})") == "w:1:40: hosts contradict mode 'allow', which reaches every host");
  BOOST_TEST(reason(R"({"image": "x", "build": {}})") == "w:1:25: 'image' and 'build' exclude each other");
  BOOST_TEST(reason(R"({"network": {"mode": "sometimes"}})") == "w:1:22: 'sometimes' is not a network mode");
}

BOOST_AUTO_TEST_CASE(refuses_by_name_what_does_not_exist_yet_unless_it_is_empty) {
  BOOST_TEST(reason(R"({"secrets": ["mine"]})") == "w:1:13: secrets are not supported yet");
  BOOST_TEST(reason(R"({"skills": ["/s"]})") == "w:1:12: skills are not supported yet");
  BOOST_TEST(reason(R"({"features": {"x": {}}})") == "w:1:14: features are not supported yet");
  BOOST_TEST(reason(R"({"mcp": {"servers": [{"name": "x", "url": "y"}]}})") == "w:1:9: MCP servers are not supported yet");
  BOOST_TEST(reason(R"({"environment": [{"name": "A", "secret": "s"}]})") == "w:1:42: secrets are not supported yet");
  BOOST_CHECK_NO_THROW((void)parse(R"({"secrets": [], "skills": [], "features": {}, "mcp": {"servers": [], "commands": []}})"));
}

BOOST_AUTO_TEST_CASE(refuses_bad_ports) {
  BOOST_TEST(reason(R"({"ports": [0]})") == "w:1:12: must be between 1 and 65535");
  BOOST_TEST(reason(R"({"ports": [65536]})") == "w:1:12: must be between 1 and 65535");
  BOOST_TEST(reason(R"({"ports": ["80"]})") == "w:1:12: must be an integer");
  BOOST_TEST(reason(R"({"ports": [80, 80]})") == "w:1:16: port 80 is listed twice");
  BOOST_TEST(reason(R"({"ports": [{"target": 1, "host": 9}, {"target": 2, "host": 9}]})") == "w:1:38: host port 9 is used twice");
  BOOST_TEST(reason(R"({"ports": [{"target": 1, "bind": "everywhere"}]})") == "w:1:34: 'everywhere' is not an IP address");
}

BOOST_AUTO_TEST_CASE(refuses_bad_mounts) {
  BOOST_TEST(reason(R"({"mounts": [{"host": "/etc"}]})") == "w:1:13: 'target' is missing");
  BOOST_TEST(reason(R"({"mounts": [{"host": "x", "target": "/x"}]})") == "w:1:22: 'x' is not an absolute path");
  BOOST_TEST(reason(R"({"mounts": [{"host": "$SOURCE/x", "target": "/x"}]})") == "w:1:22: unknown variable in '$SOURCE/x'");
  BOOST_TEST(reason(R"({"mounts": [{"host": "/a", "target": "/x/.."}]})") == "w:1:38: cannot mount over '/'");
  BOOST_TEST(reason(R"({"mounts": [{"host": "/a", "target": "/x"}, {"host": "/b", "target": "/x/"}]})") == "w:1:70: '/x' is mounted twice");
  BOOST_TEST(reason(R"({"mounts": [{"host": "/a\nb", "target": "/x"}]})") == "w:1:22: a control character in a path");
}

BOOST_AUTO_TEST_CASE(refuses_bad_variables_and_resources) {
  BOOST_TEST(reason(R"({"environment": [{"name": "A=B", "value": ""}]})") == "w:1:27: 'A=B' is not a name for an environment variable");
  BOOST_TEST(reason(R"({"environment": [{"name": "A"}, {"name": "A"}]})") == "w:1:42: 'A' is set twice");
  BOOST_TEST(reason(R"({"resources": {"memory": "lots"}})") == "w:1:26: 'lots' is not a size");
  BOOST_TEST(reason(R"({"resources": {"memory": "99999999999999999999"}})") == "w:1:26: '99999999999999999999' is not a size");
  BOOST_TEST(reason(R"({"resources": {"memory": 4096}})") == "w:1:26: must be at least 1 MiB");
  BOOST_TEST(reason(R"({"resources": {"cpus": -1}})") == "w:1:24: must be between 0.001 and 100000");
  BOOST_TEST(reason(R"({"resources": {"processes": 0}})") == "w:1:29: must be between 1 and 4194304");
}

BOOST_AUTO_TEST_CASE(expands_variables_only_as_whole_parts_of_a_path) {
  BOOST_TEST(expand_path("$SOURCES", variables) == "/src/shop");
  BOOST_TEST(expand_path("$HOME/../bob/", variables) == "/home/bob");
  BOOST_TEST(expand_path("/../../etc", variables) == "/etc");
  BOOST_TEST(expand_path("/a$/b$$", variables) == "/a$/b$$");
  for (const std::string text : {"$HOMEDIR/x", "${HOME}/x", "/a$HOME", "$OTHER", "$HOME.old"})
    BOOST_TEST(error_of([&] { (void)expand_path(text, variables); }).message() == "unknown variable in '" + text + "'");
  BOOST_TEST(error_of([] { (void)expand_path("$HOME/x", {"/s", ""}); }).message() == "$HOME is used, but it is not set");
}

BOOST_AUTO_TEST_CASE(a_missing_file_or_directory_asks_for_nothing) {
  const kortex::test::Sandbox sandbox;
  const PathVariables here{sandbox.path().string(), "/home/ann"};
  BOOST_TEST(read_configuration(sandbox / ".kortex", here).ports.empty());
  fs::create_directory(sandbox / ".kortex");
  BOOST_TEST(read_configuration(sandbox / ".kortex", here).ports.empty());
}

BOOST_AUTO_TEST_CASE(names_the_file_in_its_errors) {
  const kortex::test::Sandbox sandbox;
  const PathVariables here{sandbox.path().string(), "/home/ann"};
  fs::create_directory(sandbox / ".kortex");
  const fs::path file = sandbox / ".kortex" / "workspace.json";
  write(file, "{\n\"port\": []}");
  const Error error = error_of([&] { (void)read_configuration(sandbox / ".kortex", here); });
  BOOST_TEST(error.message() == file.string() + ":2:1: unknown key 'port'");
  BOOST_TEST(error.hint() == "did you mean 'ports'?");
}

BOOST_AUTO_TEST_CASE(does_not_follow_a_link_out_of_the_sources) {
  const kortex::test::Sandbox sandbox;
  const fs::path sources = sandbox / "sources";
  const fs::path outside = sandbox / "outside";
  fs::create_directories(sources / ".kortex");
  fs::create_directories(outside);
  write(outside / "workspace.json", "{\"ports\": [80]}");
  const PathVariables here{sources.string(), "/home/ann"};
  fs::create_symlink(outside / "workspace.json", sources / ".kortex" / "workspace.json");
  const Error by_file = error_of([&] { (void)read_configuration(sources / ".kortex", here); });
  BOOST_TEST(by_file.message() == "cannot read '" + (sources / ".kortex/workspace.json").string() +
                                      "': it is a symbolic link out of the sources, to '" + (outside / "workspace.json").string() + "'");
  fs::remove_all(sources / ".kortex");
  fs::create_symlink("../outside", sources / ".kortex");
  BOOST_TEST(error_of([&] { (void)read_configuration(sources / ".kortex", here); }).message() == by_file.message());
  BOOST_TEST(read_configuration(sources / ".kortex", here, ConfigurationPlace::anywhere).ports.size() == 1);
  // A link that stays inside is the user's own business.
  fs::remove(sources / ".kortex");
  fs::create_directory(sources / "settings");
  write(sources / "settings" / "workspace.json", "{\"ports\": [80]}");
  fs::create_symlink("settings", sources / ".kortex");
  BOOST_TEST(read_configuration(sources / ".kortex", here).ports.size() == 1);
}

BOOST_AUTO_TEST_CASE(a_link_to_nowhere_and_a_fifo_are_not_an_absent_configuration) {
  const kortex::test::Sandbox sandbox;
  const PathVariables here{sandbox.path().string(), "/home/ann"};
  fs::create_directory(sandbox / ".kortex");
  const fs::path file = sandbox / ".kortex" / "workspace.json";
  fs::create_symlink("nowhere", file);
  BOOST_TEST(error_of([&] { (void)read_configuration(sandbox / ".kortex", here); }).message() ==
             "cannot read '" + file.string() + "': the symbolic link leads nowhere");
  fs::remove(file);
  BOOST_REQUIRE(::mkfifo(file.c_str(), 0600) == 0);
  BOOST_TEST(error_of([&] { (void)read_configuration(sandbox / ".kortex", here); }).message().find("cannot read '") == 0);
}

BOOST_AUTO_TEST_SUITE_END()
