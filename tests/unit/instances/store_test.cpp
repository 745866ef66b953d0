#include "instances/store.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <set>
#include <thread>

#include "expect_error.hpp"
#include "instances/names.hpp"
#include "sandbox.hpp"
#include "system/files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::error_of;

Record record_named(const std::string& name) {
  Record r;
  r.name = name;
  r.runtime = "fake";
  r.spec.source_path = "/src/" + name;
  r.spec.config_path = "/src/" + name + "/.kortex";
  r.spec.agent_name = "shell";
  r.spec.agent_argv = {"/bin/sh"};
  return r;
}

struct Fixture {
  kortex::test::Sandbox sandbox;
  fs::path root = sandbox / "store";
  Store store{root};

  std::string add(const std::string& name, const std::optional<std::string>& wanted = std::nullopt) {
    Record r = record_named(name);
    r.created_ms = ++m_clock;
    return store.add(r, wanted).id();
  }
  /// What a process that was killed after `link` leaves.
  void leave_dangling(const std::string& name, const std::string& id) const { fs::create_symlink("../workspaces/" + id, root / "names" / name); }

 private:
  std::int64_t m_clock = 0;
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(store, Fixture)

BOOST_AUTO_TEST_CASE(a_missing_store_lists_nothing_and_is_not_made_by_reading) {
  BOOST_TEST(store.list().empty());
  BOOST_TEST(store.names().empty());
  BOOST_TEST(static_cast<int>(error_of([&] { (void)store.resolve("x"); }).kind()) == 3);
  store.sweep();
  BOOST_TEST(!fs::exists(root));
}

BOOST_AUTO_TEST_CASE(adds_a_workspace_with_name_record_and_claim) {
  Record r = record_named("shop");
  {
    const Claim claim = store.add(r, "shop");
    BOOST_TEST(claim.id() == r.id);
    BOOST_TEST(store.is_claimed(r.id));
    BOOST_TEST(fs::is_directory(claim.runtime_directory()));
  }
  BOOST_TEST(!store.is_claimed(r.id));
  BOOST_TEST(r.key == "kortex-shop-" + r.id.substr(0, 12));
  BOOST_TEST(store.resolve("shop") == r.id);
  BOOST_TEST(store.read(r.id).record->spec.source_path == "/src/shop");
  BOOST_TEST(fs::is_empty(root / "tmp"));
  for (const auto& directory : {root, root / "workspaces" / r.id, root / "workspaces" / r.id / "runtime"}) {
    struct stat status {};
    BOOST_REQUIRE(::stat(directory.c_str(), &status) == 0);
    BOOST_TEST((status.st_mode & 0777) == 0700);
  }
}

BOOST_AUTO_TEST_CASE(a_wanted_name_that_is_taken_names_its_owner) {
  const std::string id = add("shop");
  const Error error = error_of([&] { add("shop", "shop"); });
  BOOST_TEST(error.message() == "cannot name a workspace 'shop': workspace " + id.substr(0, 12) + " has that name");
  BOOST_TEST(static_cast<int>(error.kind()) == 1);
  BOOST_TEST(error_of([&] { (void)store.available_name("shop", "shop"); }).message() == error.message());
  BOOST_TEST(store.list().size() == 1);
  BOOST_TEST(fs::is_empty(root / "tmp"));
  BOOST_TEST(error_of([&] { add("x", std::string(300, 'n')); }).message() ==
             "cannot name a workspace '" + std::string(300, 'n') + "': a name has at most 128 bytes; this one has 300");
}

BOOST_AUTO_TEST_CASE(numbers_a_name_until_it_is_free) {
  for (int i = 0; i < 5; ++i) add("shop");
  const auto names = store.names();
  BOOST_TEST((std::set<std::string>(names.begin(), names.end()) == std::set<std::string>{"shop", "shop-2", "shop-3", "shop-4", "shop-5"}));
  BOOST_TEST(store.available_name("shop", std::nullopt) == "shop-6");
  BOOST_TEST(store.available_name("other", std::nullopt) == "other");
}

BOOST_AUTO_TEST_CASE(two_hundred_at_once_get_two_hundred_names) {
  // Threads stand for processes: flock is per open file, so the locks are as real.
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 50; ++i) {
        Record r = record_named("shop");
        (void)store.add(r, std::nullopt);
      }
    });
  for (auto& thread : threads) thread.join();
  std::set<std::string> names;
  const Listing all = store.list();
  for (const Summary* summary : all.in_order()) {
    BOOST_TEST(summary->problem == "");
    BOOST_TEST(store.resolve(std::string(summary->name)) == summary->id);
    names.insert(std::string(summary->name));
  }
  BOOST_TEST(names.size() == 200);
  BOOST_TEST(fs::is_empty(root / "tmp"));
}

BOOST_AUTO_TEST_CASE(a_name_left_by_a_killed_command_can_be_had_again) {
  add("other");
  const std::string dead = random_id();
  leave_dangling("shop", dead);
  BOOST_TEST(static_cast<int>(error_of([&] { (void)store.resolve("shop"); }).kind()) == 3);
  const std::string id = add("shop", "shop");
  BOOST_TEST(store.resolve("shop") == id);
}

BOOST_AUTO_TEST_CASE(a_name_whose_workspace_is_being_registered_is_taken) {
  add("other");
  const std::string id = random_id();
  fs::create_directory(root / "tmp" / id);
  std::ofstream(root / "tmp" / id / "lock").close();
  leave_dangling("shop", id);
  {
    const auto lock = FileLock::try_acquire(root / "tmp" / id / "lock");
    BOOST_REQUIRE(lock.has_value());
    BOOST_TEST(error_of([&] { add("shop", "shop"); }).message() == "cannot name a workspace 'shop': workspace " + id.substr(0, 12) + " has that name");
    BOOST_TEST(fs::exists(root / "tmp" / id));
  }
  BOOST_TEST(store.resolve("other") != id);
  BOOST_TEST(add("shop", "shop") != id);
  BOOST_TEST(!fs::exists(root / "tmp" / id));
}

BOOST_AUTO_TEST_CASE(resolves_names_before_ids_before_prefixes) {
  const std::string id = add("shop");
  BOOST_TEST(store.resolve(id) == id);
  BOOST_TEST(store.resolve(id.substr(0, 4)) == id);
  BOOST_TEST(static_cast<int>(error_of([&] { (void)store.resolve(id.substr(0, 3)); }).kind()) == 3);
  const std::string other = add("other", id.substr(0, 8));
  BOOST_TEST(store.resolve(id.substr(0, 8)) == other);
  const Error error = error_of([&] { (void)store.resolve("shp"); });
  BOOST_TEST(error.message() == "no workspace 'shp'");
  BOOST_TEST(error.hint() == "did you mean 'shop'?");
}

BOOST_AUTO_TEST_CASE(an_ambiguous_prefix_lists_what_fits) {
  const std::string id = add("shop");
  const std::string twin = id.substr(0, 6) + (id[6] == '0' ? '1' : '0') + id.substr(7);
  fs::create_directory(root / "workspaces" / twin);
  const Error error = error_of([&] { (void)store.resolve(id.substr(0, 6)); });
  BOOST_TEST(error.message() == "no workspace '" + id.substr(0, 6) + "': 2 ids begin so");
  BOOST_TEST(error.hint().find(id.substr(0, 12)) != std::string::npos);
  BOOST_TEST(error.hint().find(twin.substr(0, 12)) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_half_removed_workspace_is_found_by_the_name_it_had) {
  const std::string id = add("shop");
  fs::remove(root / "names" / "shop");
  BOOST_TEST(store.resolve("shop") == id);
}

BOOST_AUTO_TEST_CASE(a_broken_record_is_an_entry_of_its_own) {
  add("good");
  const std::string id = add("bad");
  const fs::path file = root / "workspaces" / id / "workspace.json";
  std::ofstream(file) << "{\"schema\": 1,\n";
  const auto entries = store.list();
  BOOST_REQUIRE(entries.size() == 2);
  BOOST_TEST(entries[0].name == "bad");
  BOOST_TEST(!entries[0].readable);
  BOOST_TEST(entries[0].problem == file.string() + ":2:1: the text ends too early");
  BOOST_TEST(entries[1].problem == "");
  BOOST_TEST(store.resolve("bad") == id);
  fs::remove(file);
  BOOST_TEST(store.read(id).problem == "cannot read '" + file.string() + "': no such file or directory");
  store.remove(store.claim(id, 0, {}));
  BOOST_TEST(store.list().size() == 1);
  BOOST_TEST(!fs::exists(fs::symlink_status(root / "names" / "bad")));
}

BOOST_AUTO_TEST_CASE(a_record_that_belongs_to_another_workspace_is_a_problem) {
  const std::string a = add("a");
  const std::string b = add("b");
  fs::copy_file(root / "workspaces" / a / "workspace.json", root / "workspaces" / b / "workspace.json", fs::copy_options::overwrite_existing);
  const Entry entry = store.read(b);
  BOOST_TEST(!entry.record.has_value());
  BOOST_TEST(entry.name == "b");
  BOOST_TEST(entry.problem.find("belongs to another workspace, " + a.substr(0, 12)) != std::string::npos);
}

BOOST_AUTO_TEST_CASE(lists_what_only_the_whole_parser_reads) {
  const std::string id = add("shop");
  Record r = *store.read(id).record;
  r.model = "a \"model\"";
  r.spec.global_options = {{"host", "far"}};
  r.forwards = {{80, "127.0.0.1", 8080}};
  store.write(store.claim(id, 0, {}), r);
  const Listing all = store.list();
  BOOST_REQUIRE(all.size() == 1);
  BOOST_TEST(all[0].readable);
  BOOST_TEST(all[0].id == id);
  BOOST_TEST(all[0].name == "shop");
  BOOST_TEST(all[0].model == r.model);
  BOOST_TEST(all[0].key == r.key);
  BOOST_TEST((all[0].global_options == r.spec.global_options));
  BOOST_TEST((all[0].forwards == r.forwards));
  BOOST_TEST(all[0].state_dir == store.instance_directory(id).string());
}

BOOST_AUTO_TEST_CASE(lists_by_creation) {
  for (const std::string name : {"z", "a", "m"}) add(name);
  std::string order;
  const Listing all = store.list();
  for (const Summary* summary : all.in_order()) order += summary->name;
  BOOST_TEST(order == "zam");
}

BOOST_AUTO_TEST_CASE(renames_and_frees_the_old_name) {
  const std::string id = add("old");
  add("other");
  const Claim claim = store.claim(id, 0, {});
  Record r = *store.read(id).record;
  BOOST_TEST(error_of([&] { store.rename(claim, r, "other"); }).message().find("cannot rename workspace 'old' to 'other': workspace ") == 0);
  BOOST_TEST(static_cast<int>(error_of([&] { store.rename(claim, r, "a/b"); }).kind()) == 7);
  BOOST_TEST(r.name == "old");
  store.rename(claim, r, "new");
  BOOST_TEST(store.resolve("new") == id);
  BOOST_TEST(store.read(id).name == "new");
  BOOST_TEST(static_cast<int>(error_of([&] { (void)store.resolve("old"); }).kind()) == 3);
}

BOOST_AUTO_TEST_CASE(a_held_claim_makes_others_wait_and_then_say_so) {
  const std::string id = add("shop");
  const Claim claim = store.claim(id, 0, {});
  BOOST_TEST(error_of([&] { (void)store.claim(id, 0, {}); }).message() ==
             "workspace '" + id.substr(0, 12) + "' is busy: another kortex-cli is working on it");
}

BOOST_AUTO_TEST_CASE(a_claim_on_what_is_gone_says_so) {
  const std::string id = add("shop");
  store.remove(store.claim(id, 0, {}));
  const Error error = error_of([&] { (void)store.claim(id, 0, {}); });
  BOOST_TEST(static_cast<int>(error.kind()) == 3);
  BOOST_TEST(error.message() == "no workspace '" + id.substr(0, 12) + "' any more: another kortex-cli removed it");
  BOOST_TEST(static_cast<int>(error_of([&] { (void)store.read(id); }).kind()) == 3);
}

BOOST_AUTO_TEST_CASE(removal_takes_unreadable_directories_and_follows_no_link) {
  const std::string id = add("shop");
  const fs::path runtime = store.instance_directory(id);
  fs::create_directories(runtime / "deep" / "er");
  std::ofstream(runtime / "deep" / "er" / "file").close();
  fs::create_directory(sandbox / "precious");
  std::ofstream(sandbox / "precious/file").close();
  fs::create_directory_symlink(sandbox / "precious", runtime / "link");
  fs::permissions(runtime / "deep" / "er", fs::perms::none);
  fs::permissions(runtime / "deep", fs::perms::none);
  store.remove(store.claim(id, 0, {}));
  BOOST_TEST(fs::is_empty(root / "workspaces"));
  BOOST_TEST(fs::is_empty(root / "tmp"));
  BOOST_TEST(fs::exists(sandbox / "precious/file"));
}

BOOST_AUTO_TEST_CASE(sweeps_what_killed_commands_left_and_nothing_else) {
  add("shop");
  const std::string dead = random_id();
  fs::create_directories(root / "tmp" / dead / "runtime");
  std::ofstream(root / "tmp" / dead / "lock").close();
  leave_dangling("reserved", dead);
  const std::string empty = random_id();
  fs::create_directory(root / "tmp" / empty);
  fs::create_directory(root / "tmp" / "not-ours");
  store.sweep();
  BOOST_TEST(!fs::exists(root / "tmp" / dead));
  BOOST_TEST(!fs::exists(root / "tmp" / empty));
  BOOST_TEST(fs::exists(root / "tmp" / "not-ours"));
  BOOST_TEST(!fs::is_symlink(root / "names" / "reserved"));
  BOOST_TEST(fs::is_symlink(root / "names" / "shop"));
}

BOOST_AUTO_TEST_CASE(a_rename_killed_at_either_step_leaves_no_name_after_removal) {
  for (const bool reached_the_record : {false, true}) {
    const std::string id = add("old");
    {
      const Claim claim = store.claim(id, 0, {});
      Record r = *store.read(id).record;
      leave_dangling("new", id);
      r.name = reached_the_record ? "new" : "old";
      r.other_name = reached_the_record ? "old" : "new";
      store.write(claim, r);
    }
    BOOST_TEST(store.resolve("old") == id);
    BOOST_TEST(store.resolve("new") == id);
    store.remove(store.claim(id, 0, {}));
    BOOST_TEST(store.names().empty());
  }
}

BOOST_AUTO_TEST_CASE(refuses_a_store_that_others_may_write_to) {
  fs::create_directory(root);
  fs::permissions(root, fs::perms::owner_all | fs::perms::group_all);
  const Error error = error_of([&] { add("shop"); });
  BOOST_TEST(error.message() == "cannot use the store '" + root.string() + "': others may write to it");
  BOOST_TEST(error.hint() == "chmod go-w '" + root.string() + "'");
  BOOST_TEST(static_cast<int>(error.kind()) == 7);
}

BOOST_AUTO_TEST_CASE(ten_thousand_are_listed_quickly) {
  add("first");
  for (int i = 0; i < 10000; ++i) {
    Record r = record_named("workspace-" + std::to_string(i));
    r.id = random_id();
    r.key = key_for(r.name, r.id);
    r.instance_id = "fake-" + std::to_string(i);
    r.created_ms = 1700000000000 + i;
    r.guarantees.exposure = {"the host's network, its loopback included"};
    fs::create_directory(root / "workspaces" / r.id);
    std::ofstream(root / "workspaces" / r.id / "workspace.json") << serialize(r);
  }
  const auto start = std::chrono::steady_clock::now();
  const auto entries = store.list();
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  std::cout << "list of 10,000 records: " << took / 1000.0 << " ms, " << took / 10000.0 << " us each\n";
  BOOST_TEST(entries.size() == 10001);
  BOOST_TEST(entries[10000].name == "workspace-9999");
}

BOOST_AUTO_TEST_CASE(a_store_has_one_mark_for_each_runtime_and_a_copy_of_it_another) {
  BOOST_TEST(store.known_mark("fake") == "");
  BOOST_TEST(!fs::exists(root));
  add("first");
  BOOST_TEST(store.known_mark("fake") == "");
  const std::string mark = store.mark("fake");
  BOOST_TEST(mark.size() == 32u);
  BOOST_TEST(is_hexadecimal(mark));
  BOOST_TEST(store.mark("fake") == mark);
  BOOST_TEST(store.known_mark("fake") == mark);
  struct stat status {};
  BOOST_TEST(::stat((root / "marks/fake").c_str(), &status) == 0);
  BOOST_TEST((status.st_mode & 0777) == 0600);

  BOOST_TEST(store.known_mark("process") == "");
  BOOST_TEST(store.mark("process") != mark);
  BOOST_TEST(store.known_mark("fake") == mark);

  const fs::path elsewhere = sandbox / "copy";
  fs::copy(root, elsewhere, fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  const Store copy(elsewhere);
  BOOST_TEST(copy.known_mark("fake") == "");
  BOOST_TEST(copy.mark("fake") != mark);
  BOOST_TEST(copy.known_mark("fake") == copy.mark("fake"));
  BOOST_TEST(store.known_mark("fake") == mark);

  const fs::path moved = sandbox / "moved";
  fs::rename(root, moved);
  BOOST_TEST(Store(moved).known_mark("fake") == mark);
}

BOOST_AUTO_TEST_CASE(a_damaged_mark_is_none_and_is_replaced) {
  add("first");
  const std::string mark = store.mark("fake");
  for (const std::string text : {"", "0123", "0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdeX 1\n"}) {
    std::ofstream(root / "marks/fake") << text;
    BOOST_TEST(store.known_mark("fake") == "");
  }
  BOOST_TEST(store.mark("fake") != mark);
  fs::remove(root / "marks/fake");
  fs::create_symlink("/etc/passwd", root / "marks/fake");
  BOOST_TEST(store.known_mark("fake") == "");
  BOOST_TEST(store.mark("fake").size() == 32u);
}

BOOST_AUTO_TEST_CASE(threads_that_mark_at_once_agree) {
  add("first");
  std::vector<std::string> marks(8);
  {
    std::vector<std::jthread> threads;
    for (std::string& mark : marks) threads.emplace_back([&mark, this] { mark = store.mark("fake"); });
  }
  for (const std::string& mark : marks) BOOST_TEST(mark == store.known_mark("fake"));
}

BOOST_AUTO_TEST_CASE(what_is_lent_is_no_workspace_and_leaves_nothing) {
  Claim lent = store.lend();
  BOOST_TEST(fs::is_directory(lent.runtime_directory()));
  BOOST_TEST(store.list().empty());
  store.sweep();
  BOOST_TEST(fs::is_directory(lent.runtime_directory()));
  store.drop(std::move(lent));
  BOOST_TEST(fs::is_empty(root / "tmp"));
}

BOOST_AUTO_TEST_SUITE_END()
