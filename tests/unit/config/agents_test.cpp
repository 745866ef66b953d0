#include "config/agents.hpp"

#include <fstream>

#include "expect_error.hpp"
#include "sandbox.hpp"

namespace {

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::error_of;

const PathVariables variables{"/src/shop", "/home/ann"};

void write(const fs::path& file, const std::string& text) { std::ofstream(file) << text; }

}  // namespace

BOOST_AUTO_TEST_SUITE(agents)

BOOST_AUTO_TEST_CASE(all_shipped_agents_can_be_read) {
  const AgentCatalog catalog({KORTEX_AGENTS}, variables);
  std::vector<std::string> names;
  for (const auto& agent : catalog.list()) {
    BOOST_TEST(agent.error == "");
    BOOST_TEST(agent.description != "");
    for (const auto& mount : agent.mounts) BOOST_TEST(mount.optional, agent.name << " insists on " << mount.host);
    names.push_back(agent.name);
  }
  const std::vector<std::string> expected = {"aider", "claude", "codex", "cursor", "gemini", "goose", "opencode", "shell"};
  BOOST_TEST(names == expected, boost::test_tools::per_element());
  BOOST_TEST(catalog.names() == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_users_agent_replaces_a_shipped_one_even_when_it_is_broken) {
  const kortex::test::Sandbox sandbox;
  fs::create_directory(sandbox / "user");
  fs::create_directory(sandbox / "shipped");
  write(sandbox / "shipped/a.json", R"({"command": ["shipped"]})");
  write(sandbox / "shipped/b.json", R"({"command": ["shipped"]})");
  write(sandbox / "user/a.json", R"({"command": ["mine"], "environment": [{"name": "X"}]})");
  write(sandbox / "user/b.json", "{\"command\":\n []}");
  const AgentCatalog catalog({sandbox / "user", sandbox / "missing", sandbox / "shipped"}, variables);
  BOOST_TEST(catalog.find("a").command.front() == "mine");
  const std::string broken = (sandbox / "user/b.json").string() + ":2:2: must name a program";
  BOOST_TEST(error_of([&] { (void)catalog.find("b"); }).message() == broken);
  const auto all = catalog.list();
  BOOST_REQUIRE(all.size() == 2);
  BOOST_TEST(all[0].error == "");
  BOOST_TEST(all[1].error == broken);
}

BOOST_AUTO_TEST_CASE(an_unknown_agent_is_answered_with_a_near_one_or_all) {
  const AgentCatalog catalog({KORTEX_AGENTS}, variables);
  const Error near = error_of([&] { (void)catalog.find("cloude"); });
  BOOST_TEST(near.message() == "no agent 'cloude'");
  BOOST_TEST(near.hint() == "did you mean 'claude'?");
  BOOST_TEST(static_cast<int>(near.kind()) == 2);
  BOOST_TEST(error_of([&] { (void)catalog.find("../../etc/passwd"); }).hint() ==
             "agents: aider, claude, codex, cursor, gemini, goose, opencode, shell");
}

BOOST_AUTO_TEST_CASE(model_arguments_must_use_the_model) {
  const kortex::test::Sandbox sandbox;
  write(sandbox / "a.json", R"({"command": ["x"], "model_arguments": ["--model"]})");
  BOOST_TEST(error_of([&] { (void)AgentCatalog({sandbox.path()}, variables).find("a"); }).message() ==
             (sandbox / "a.json").string() + ":1:39: one of them must contain '{model}'");
}

BOOST_AUTO_TEST_SUITE_END()
