#include "instances/project.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "sandbox.hpp"

namespace {
namespace fs = std::filesystem;
using namespace kortex::host;
void write(const fs::path& file, const std::string& text) {
  fs::create_directories(file.parent_path());
  std::ofstream(file) << text;
}
constexpr const char* config = "[core]\n\tbare = false\n[remote \"upstream\"]\n\turl = https://example.com/other\n"
                               "[remote \"origin\"] ; ours\n\tfetch = x\n\turl = \"https://user:secret@example.com/team/shop.git\" # token\n";
}  // namespace

BOOST_AUTO_TEST_SUITE(project)

BOOST_AUTO_TEST_CASE(removes_credentials_from_urls) {
  BOOST_TEST(without_credentials("https://user:token@host/x") == "https://host/x");
  BOOST_TEST(without_credentials("https://token@host:8443/x@y") == "https://host:8443/x@y");
  BOOST_TEST(without_credentials("https://a@b:c@host") == "https://host");
  BOOST_TEST(without_credentials("ssh://git:secret@host/x") == "ssh://git@host/x");
  BOOST_TEST(without_credentials("git@github.com:team/shop.git") == "git@github.com:team/shop.git");
  BOOST_TEST(without_credentials("/srv/git/shop@2") == "/srv/git/shop@2");
}

BOOST_AUTO_TEST_CASE(is_the_remote_without_credentials_or_the_folders_name) {
  const kortex::test::Sandbox sandbox;
  fs::create_directories(sandbox / "shop");
  BOOST_TEST(project_of(sandbox / "shop") == "shop");
  write(sandbox / "shop/.git/config", config);
  BOOST_TEST(project_of(sandbox / "shop") == "https://example.com/team/shop.git");
  fs::create_directories(sandbox / "shop/src/deep");
  BOOST_TEST(project_of(sandbox / "shop/src/deep") == "https://example.com/team/shop.git");
  write(sandbox / "shop/.git/config", "[remote \"origin\"]\n\turl =\n");
  BOOST_TEST(project_of(sandbox / "shop") == "shop");
}

BOOST_AUTO_TEST_CASE(follows_a_linked_worktree) {
  const kortex::test::Sandbox sandbox;
  write(sandbox / "main/.git/config", config);
  write(sandbox / "main/.git/worktrees/side/commondir", "../..\n");
  write(sandbox / "side/.git", "gitdir: " + (sandbox / "main/.git/worktrees/side").string() + "\n");
  BOOST_TEST(project_of(sandbox / "side") == "https://example.com/team/shop.git");
  write(sandbox / "odd/.git", "nonsense");
  BOOST_TEST(project_of(sandbox / "odd") == "odd");
}

BOOST_AUTO_TEST_SUITE_END()
