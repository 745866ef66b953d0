#include <fcntl.h>
#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include "../../../plugins/process/public_etc.hpp"
#include "sandbox.hpp"

namespace fs = std::filesystem;
using kortex::process::mirror_public;

namespace {

bool all_but_secrets(const std::string& path) { return path.find("secret") == std::string::npos; }

/// A directory with a file, a folder, and links.
struct Place : kortex::test::Sandbox {
  fs::path from = path() / "from", to = path() / "to";
  Place() {
    fs::create_directories(from / "fonts");
    write("passwd", "root");
    write("fonts/local.conf", "serif");
    write("secret", "key");
    fs::create_symlink("/usr/bin", from / "link");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(from / name) << text;
    ::chmod((from / name).c_str(), 0644);
  }
  void update() const { mirror_public(from, to, all_but_secrets); }
  std::string text(const std::string& name) const {
    std::ifstream file(to / name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  bool has(const std::string& name) const { return fs::exists(fs::symlink_status(to / name)); }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(public_etc, Place)

BOOST_AUTO_TEST_CASE(holds_what_is_wanted_and_nothing_else) {
  update();
  BOOST_TEST(text("passwd") == "root");
  BOOST_TEST(text("fonts/local.conf") == "serif");
  BOOST_TEST(fs::read_symlink(to / "link") == "/usr/bin");
  BOOST_TEST(!has("secret"));
}

BOOST_AUTO_TEST_CASE(leaves_out_what_others_may_not_read) {
  write("private", "key");
  ::chmod((from / "private").c_str(), 0640);
  ::chmod((from / "fonts").c_str(), 0700);
  update();
  BOOST_TEST(!has("private"));
  BOOST_TEST(!has("fonts"));
  ::chmod((from / "private").c_str(), 0644);
  update();
  BOOST_TEST(text("private") == "key");
  ::chmod((from / "private").c_str(), 0600);
  update();
  BOOST_TEST(!has("private"));
}

BOOST_AUTO_TEST_CASE(follows_files_that_are_written_replaced_added_and_removed) {
  update();
  write("passwd", "root\nanna");
  write("fonts/local.conf", "sans!");
  update();
  BOOST_TEST(text("passwd") == "root\nanna");
  BOOST_TEST(text("fonts/local.conf") == "sans!");
  fs::rename(from / "passwd", from / "group");
  update();
  BOOST_TEST(!has("passwd"));
  BOOST_TEST(text("group") == "root\nanna");
  fs::remove_all(from / "fonts");
  write("fonts", "a file now");
  update();
  BOOST_TEST(text("fonts") == "a file now");
  fs::remove(from / "fonts");
  fs::create_directory(from / "fonts");
  write("fonts/new", "x");
  update();
  BOOST_TEST(text("fonts/new") == "x");
}

BOOST_AUTO_TEST_CASE(holds_the_file_where_a_link_leads_out_of_sight) {
  fs::create_symlink(path() / "run", from / "resolv.conf");
  update();
  BOOST_TEST(!has("resolv.conf"));
  std::ofstream(path() / "run") << "nameserver";
  ::chmod((path() / "run").c_str(), 0644);
  update();
  BOOST_TEST(!fs::is_symlink(to / "resolv.conf"));
  BOOST_TEST(text("resolv.conf") == "nameserver");
  std::ofstream(path() / "run") << "nameserver 1";
  update();
  BOOST_TEST(text("resolv.conf") == "nameserver 1");
}

BOOST_AUTO_TEST_CASE(does_not_write_when_nothing_changed) {
  update();
  ::chmod(to.c_str(), 0755);
  std::ofstream(to / "passwd") << "tampered";
  update();
  BOOST_TEST(text("passwd") == "tampered");  // nobody else can, and asking would cost what it saves
  write("group", "new");
  update();
  BOOST_TEST(text("passwd") == "root");
}

BOOST_AUTO_TEST_CASE(heals_a_copy_that_was_interrupted) {
  update();
  std::ofstream(to / "passwd.kortex-new") << "half";
  fs::remove(path() / "to.list");
  fs::remove(to / "passwd");
  update();
  BOOST_TEST(text("passwd") == "root");
  BOOST_TEST(!has("passwd.kortex-new"));
}

BOOST_AUTO_TEST_SUITE_END()
