#include <sys/stat.h>
#include <unistd.h>

#include "fixture.hpp"
#include "runtimes/elf_note.hpp"
#include "runtimes/plugin_file.hpp"

namespace fs = std::filesystem;
using namespace kortex::host;
using namespace kortex::test;

namespace {

/// What tests make is not to be refused because of how the user who runs them shares files.
struct PrivateUmask {
  PrivateUmask() { ::umask(022); }
};
BOOST_TEST_GLOBAL_FIXTURE(PrivateUmask);

std::string refusal_of(const fs::path& file) { return examine(file, "test").refusal; }

void write(const fs::path& file, const std::string& bytes) {
  std::ofstream(file, std::ios::binary) << bytes;
  fs::permissions(file, fs::perms(0644));
}

/// What describe() of an installed test plugin fails with.
Error load_error(const std::string& name) {
  Sandbox sandbox;
  const Runtime runtime(examine(install_plugin(sandbox.path(), name), "test"), {});
  BOOST_TEST_REQUIRE(runtime.file().refusal == "");
  const Error error = error_of([&] { static_cast<void>(runtime.describe(std::chrono::seconds(20))); });
  std::string message = error.message();
  const std::string path = "'" + runtime.file().path.string() + "'";
  if (const auto at = message.find(path); at != std::string::npos) message.replace(at, path.size(), "FILE");
  return Error(error.kind(), message, error.hint(), error.detail());
}

}  // namespace

BOOST_AUTO_TEST_SUITE(plugin_file)

BOOST_AUTO_TEST_CASE(describes_a_good_plugin_without_running_it) {
  Sandbox sandbox;
  const PluginFile file = examine(install_plugin(sandbox.path(), "good"), "test");
  BOOST_TEST(file.refusal == "");
  BOOST_TEST_REQUIRE(file.descriptor.has_value());
  BOOST_TEST(file.descriptor->name == "good");
  BOOST_TEST(file.descriptor->version == "1.2.3");
  BOOST_TEST(file.descriptor->summary == "does nothing");
  BOOST_TEST(file.descriptor->abi_major == 1);
  BOOST_TEST(file.descriptor->local);
}

BOOST_AUTO_TEST_CASE(tells_which_side_to_update_when_versions_do_not_fit) {
  Sandbox sandbox;
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "newer-major")) ==
             "it is built for runtime ABI 2.0, this kortex-cli provides 1.0: update kortex-cli");
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "older-major")) ==
             "it is built for runtime ABI 0.0, this kortex-cli provides 1.0: update the plugin");
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "newer-minor")) ==
             "it is built for runtime ABI 1.3, this kortex-cli provides 1.0: update kortex-cli");
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "careful-newer-minor")) == "");
}

BOOST_AUTO_TEST_CASE(refuses_notes_that_are_missing_wrong_or_of_another_runtime) {
  Sandbox sandbox;
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "no-note")) == "it is not a kortex plugin: it has no plugin note");
  BOOST_TEST(refusal_of(install_plugin(sandbox.path(), "bad-note")) == "its plugin note holds no valid name");
  const PluginFile other = examine(install_plugin(sandbox.path(), "other-note"), "test");
  BOOST_TEST(other.refusal == "its plugin note says it is runtime 'somebody-else'");
  BOOST_TEST(other.hint == "mv " + other.path.string() + " " + (sandbox / "libkortex-runtime-somebody-else.so").string());
}

BOOST_AUTO_TEST_CASE(refuses_files_that_are_no_plugins) {
  Sandbox sandbox;
  const fs::path file = sandbox / plugin_file_name("x");
  BOOST_TEST(refusal_of(file) == "it cannot be opened: no such file or directory");
  write(file, "");
  BOOST_TEST(refusal_of(file) == "the file is empty");
  write(file, "#!/bin/sh\necho this is no plugin, although it is long enough to hold an ELF header\n");
  BOOST_TEST(refusal_of(file) == "it is not an ELF file");
  fs::remove(file);
  fs::create_directory(file);
  BOOST_TEST(refusal_of(file) == "it is a directory");
  fs::remove(file);
  BOOST_TEST_REQUIRE(::mkfifo(file.c_str(), 0644) == 0);
  BOOST_TEST(refusal_of(file) == "it is not a regular file");
}

BOOST_AUTO_TEST_CASE(refuses_a_truncated_file_wherever_it_ends) {
  Sandbox sandbox;
  const fs::path file = install_plugin(sandbox.path(), "good");
  // What lies behind the last segment (section headers, symbols) is not missed.
  for (const std::uintmax_t size : {8192, 4097, 4096, 2000, 1000, 500, 64, 63, 10, 1}) {
    fs::resize_file(file, size);
    const std::string refusal = refusal_of(file);
    BOOST_TEST((refusal == "the file is truncated" || refusal == "it is not an ELF file"), size << ": " << refusal);
  }
}

BOOST_AUTO_TEST_CASE(refuses_another_architecture) {
  Sandbox sandbox;
  const fs::path file = install_plugin(sandbox.path(), "good");
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  bytes.seekp(18);  // e_machine
  bytes.write("\x53\x00", 2);
  bytes.close();
  BOOST_TEST(refusal_of(file).starts_with("it is built for another architecture, this machine is "));
}

BOOST_AUTO_TEST_CASE(refuses_what_others_can_write_and_says_how_to_mend_it) {
  Sandbox sandbox;
  const fs::path file = install_plugin(sandbox / "dir", "good");
  fs::permissions(file, fs::perms(0666));
  PluginFile refused = examine(file, "test");
  BOOST_TEST(refused.refusal == "it can be written by other users (mode 0666)");
  BOOST_TEST(refused.hint == "chmod go-w " + file.string());
  BOOST_TEST(refused.descriptor.has_value());
  fs::permissions(file, fs::perms(0644));
  fs::permissions(sandbox / "dir", fs::perms(0775));
  refused = examine(file, "test");
  BOOST_TEST(refused.refusal == "its directory '" + (sandbox / "dir").string() + "' can be written by other users (mode 0775)");
  BOOST_TEST(refused.hint == "chmod go-w " + (sandbox / "dir").string());
  fs::permissions(sandbox / "dir", fs::perms(01777));
  BOOST_TEST(refusal_of(file) == "");
}

BOOST_AUTO_TEST_CASE(follows_links_and_checks_where_they_lead) {
  Sandbox sandbox;
  const fs::path file = install_plugin(sandbox / "store", "good", "stored");
  fs::create_directory(sandbox / "path");
  const fs::path link = sandbox / "path" / plugin_file_name("good");
  fs::create_symlink(file, link);
  BOOST_TEST(refusal_of(link) == "");
  fs::permissions(sandbox / "store", fs::perms(0777));
  BOOST_TEST(refusal_of(link) ==
             "its directory '" + (sandbox / "store").string() + "' can be written by other users (mode 0777)");
  fs::permissions(sandbox / "store", fs::perms(0755));
  fs::permissions(sandbox / "path", fs::perms(0777));
  BOOST_TEST(refusal_of(link) == "its directory '" + (sandbox / "path").string() + "' can be written by other users (mode 0777)");
}

BOOST_AUTO_TEST_CASE(refuses_files_of_other_users) {
  if (::geteuid() != 0) return;  // only root can give a file away
  Sandbox sandbox;
  const fs::path file = install_plugin(sandbox.path(), "good");
  BOOST_TEST_REQUIRE(::chown(file.c_str(), 12345, 12345) == 0);
  BOOST_TEST(refusal_of(file) == "it belongs to another user (uid 12345)");
}

BOOST_AUTO_TEST_CASE(tells_why_a_plugin_cannot_be_loaded) {
  BOOST_TEST(load_error("undefined-symbol").message() ==
             "cannot load runtime 'undefined-symbol' from FILE: undefined symbol: this_symbol_is_nowhere");
  BOOST_TEST(load_error("no-entry").message() ==
             "cannot load runtime 'no-entry' from FILE: it does not export 'kortex_runtime_plugin_v1' (bug in the runtime)");
  BOOST_TEST(load_error("null-table").message() ==
             "cannot load runtime 'null-table' from FILE: its entry point returned no table (bug in the runtime)");
  BOOST_TEST(load_error("short-table").message().starts_with(
      "cannot load runtime 'short-table' from FILE: its table is too short: 64 bytes, at least "));
  BOOST_TEST(load_error("table-major").message() ==
             "cannot load runtime 'table-major' from FILE: its table is of ABI major 2, its plugin note says 1 (bug in the runtime)");
  BOOST_TEST(load_error("table-name").message() ==
             "cannot load runtime 'table-name' from FILE: its table is named 'another', its plugin note 'table-name' (bug in the runtime)");
  BOOST_TEST(load_error("table-version").message() ==
             "cannot load runtime 'table-version' from FILE: its table is version '9.9.9', its plugin note '1.2.3' (bug in the runtime)");
  BOOST_TEST(load_error("no-create").message() ==
             "cannot load runtime 'no-create' from FILE: it lacks the required function 'create' (bug in the runtime)");
  BOOST_TEST(status_of(load_error("no-create")) == 4);
  const Error crashed = load_error("crash-on-load");
  BOOST_TEST(crashed.message() == "runtime 'crash-on-load' 1.2.3 crashed in load (aborted)");
  BOOST_TEST(crashed.hint() == "this is a bug in the runtime; 'kortex-cli runtime info crash-on-load' tells who can mend it");
}

BOOST_AUTO_TEST_CASE(loads_a_plugin_of_a_newer_minor_that_says_it_can_do_with_ours) {
  Sandbox sandbox;
  const Runtime runtime(examine(install_plugin(sandbox.path(), "careful-newer-minor"), "test"), {});
  BOOST_TEST(runtime.describe(std::chrono::seconds(20)).version == "1.2.3");
}

BOOST_AUTO_TEST_CASE(quotes_words_for_a_shell) {
  BOOST_TEST(shell_word("/usr/lib/x-1.so") == "/usr/lib/x-1.so");
  BOOST_TEST(shell_word("it's") == "'it'\\''s'");
  BOOST_TEST(shell_word("") == "''");
}

BOOST_AUTO_TEST_SUITE_END()
