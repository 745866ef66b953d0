// The manager with the real fake plugin, loaded as users' plugins are.
#include "instances/manager.hpp"

#include <algorithm>
#include <fstream>

#include "expect_error.hpp"
#include "sandbox.hpp"
#include "system/files.hpp"

namespace {

namespace fs = std::filesystem;
using namespace kortex::host;
using kortex::test::error_of;

struct Fixture {
  kortex::test::Sandbox sandbox;
  fs::path sources = sandbox / "shop";
  fs::path root = sandbox / "store";
  Store store{root};
  std::vector<std::string> notices, warnings;
  std::string runtimes = KORTEX_RUNTIMES;

  Fixture() { fs::create_directory(sources); }

  Manager manager() {
    ManagerContext context;
    context.cwd = sandbox.path().string();
    context.home = (sandbox / "home").string();
    context.getenv = [](const std::string& name) { return name == "TOKEN" ? std::optional<std::string>("secret") : std::nullopt; };
    context.runtime_context = [this](const std::string& runtime) {
      RuntimeContext c;
      c.state_dir = (root / "runtimes" / runtime).string();
      c.cache_dir = (sandbox / "cache").string();
      c.runtime_dir = (sandbox / "run").string();
      return c;
    };
    context.notice = [this](const std::string& text) { notices.push_back(text); };
    context.warning = [this](const std::string& text) { warnings.push_back(text); };
    return Manager(store, Registry({{runtimes, "--runtime-path"}}), AgentCatalog({KORTEX_AGENTS}, {sources.string(), context.home}), context);
  }
  InitRequest request(KeyValues options = {}) {
    InitRequest r;
    r.sources = "shop";
    r.runtime = "fake";
    r.runtime_options = std::move(options);
    return r;
  }
  Record init(KeyValues options = {}) { return manager().init(request(std::move(options))).record; }
  void configure(const std::string& text) {
    fs::create_directories(sources / ".kortex");
    std::ofstream(sources / ".kortex" / "workspace.json") << text;
  }
  fs::path backend(const std::string& key) const { return root / "runtimes/fake/instances" / key; }
  /// What a command leaves that was killed in this phase.
  void die_in(Phase phase, const std::string& id) {
    const Claim claim = store.claim(id, 0, {});
    Record r = *store.read(id).record;
    r.phase = phase;
    store.write(claim, r);
  }
  bool nothing_is_left() const { return fs::is_empty(root / "workspaces") && fs::is_empty(root / "tmp") && store.names().empty(); }
};

int kind(const Error& error) { return static_cast<int>(error.kind()); }

}  // namespace

BOOST_FIXTURE_TEST_SUITE(manager, Fixture)

BOOST_AUTO_TEST_CASE(a_workspace_lives_from_init_to_remove) {
  const Record made = init();
  BOOST_TEST(made.name == "shop");
  BOOST_TEST(made.project == "shop");
  BOOST_TEST(made.spec.agent_name == "shell");
  BOOST_TEST(made.spec.source_path == sources.string());
  BOOST_TEST((made.phase == Phase::none && made.state == State::stopped));
  BOOST_TEST((manager().show("shop").state == State::stopped));
  const Record started = manager().start("shop");
  BOOST_TEST((started.state == State::running));
  BOOST_TEST(started.started_ms > 0);
  BOOST_TEST((manager().start("shop").state == State::running));
  const auto all = manager().list();
  BOOST_REQUIRE(all.observed.size() == 1);
  BOOST_TEST((all.observed[0].state == State::running));
  BOOST_TEST(all.observed[0].problem == "");
  BOOST_TEST((manager().stop("shop", {}).state == State::stopped));
  BOOST_TEST((manager().stop("shop", {}).state == State::stopped));
  const auto removed = manager().remove("shop", false);
  BOOST_TEST(removed.name == "shop");
  BOOST_TEST(removed.left_behind == "");
  BOOST_TEST(nothing_is_left());
  BOOST_TEST(!fs::exists(fs::symlink_status(backend(made.key))));
}

BOOST_AUTO_TEST_CASE(the_configuration_and_the_agent_reach_the_record) {
  configure(R"({"agent": "claude", "ports": [8080], "environment": [{"name": "TOKEN"}, {"name": "A", "value": "b"}],
                "runtime_options": {"isolation": "container", "enforces": "all"}})");
  InitRequest r = request({{"isolation", "process"}});
  r.model = "opus";
  const Record record = manager().init(r).record;
  BOOST_TEST(record.spec.agent_argv == (std::vector<std::string>{"claude", "--model", "opus"}), boost::test_tools::per_element());
  BOOST_TEST((record.spec.env == KeyValues{{"A", "b"}}));
  BOOST_TEST(record.spec.env_passthrough.back() == "TOKEN");
  BOOST_TEST((record.guarantees.isolation == Isolation::process));
  BOOST_TEST((record.spec.ports == std::vector<Port>{{8080, 0, ""}}));
  // Values of the user's environment are never stored.
  BOOST_TEST(read_file(root / "workspaces" / record.id / "workspace.json", 1 << 20).find("secret") == std::string::npos);
}

BOOST_AUTO_TEST_CASE(refuses_before_anything_exists_what_the_runtime_does_not_enforce) {
  configure(R"({"network": {}, "resources": {"memory": "1G"}})");
  InitRequest r = request({{"enforces", "tty"}, {"isolation", "process"}});
  r.require = {{"isolation", "container"}};
  const Error error = error_of([&] { manager().init(r); });
  BOOST_TEST(error.message() == "runtime 'fake' does not enforce what is asked for: no network ('deny'); a limit of memory; "
                                "isolation 'container' (it has 'process')");
  BOOST_TEST(error.hint() == "kortex-cli runtime info fake");
  BOOST_TEST(kind(error) == 7);
  BOOST_TEST(!fs::exists(root / "workspaces"));
}

BOOST_AUTO_TEST_CASE(an_agent_goes_without_its_optional_mounts_where_the_runtime_cannot_mount) {
  InitRequest r = request({{"enforces", "tty"}});
  r.agent = "claude";
  const InitResult result = manager().init(r);
  BOOST_TEST(result.record.spec.mounts.empty());
  BOOST_REQUIRE(result.warnings.size() == 1);
  BOOST_TEST(result.warnings[0].find("the runtime cannot mount what agent 'claude' would like to have") == 0);
}

BOOST_AUTO_TEST_CASE(init_says_what_is_wrong_with_its_arguments) {
  InitRequest r = request();
  r.sources = "nowhere";
  BOOST_TEST(error_of([&] { manager().init(r); }).message() == "cannot use the sources 'nowhere': no such file or directory");
  std::ofstream(sandbox / "file").close();
  r.sources = "file";
  BOOST_TEST(error_of([&] { manager().init(r); }).message() == "cannot use the sources 'file': not a directory");
  r = request();
  r.runtime = "fak";
  BOOST_TEST(kind(error_of([&] { manager().init(r); })) == 4);
  r = request();
  r.name = "a/b";
  BOOST_TEST(error_of([&] { manager().init(r); }).message() == "cannot name a workspace 'a/b': a name must not contain '/'");
  r = request();
  r.configuration_directory = "missing";
  BOOST_TEST(error_of([&] { manager().init(r); }).message() == "cannot use the configuration directory 'missing': no such file or directory");
  configure(R"({"mounts": [{"host": "/no/such/file", "target": "/x"}]})");
  BOOST_TEST(error_of([&] { manager().init(request()); }).message() ==
             (sources / ".kortex/workspace.json").string() + ":1:22: cannot mount '/no/such/file': no such file or directory");
  configure(R"({"agent": "cloude"})");
  const Error agent = error_of([&] { manager().init(request()); });
  BOOST_TEST(agent.message() == (sources / ".kortex/workspace.json").string() + ":1:11: no agent 'cloude'");
  BOOST_TEST(kind(agent) == 7);
}

BOOST_AUTO_TEST_CASE(a_dry_run_registers_nothing) {
  InitRequest r = request();
  r.dry_run = true;
  BOOST_TEST(manager().init(r).record.name == "shop");
  BOOST_TEST(store.list().empty());
  init();
  BOOST_TEST(manager().init(r).record.name == "shop-2");
  r.name = "shop";
  BOOST_TEST(error_of([&] { manager().init(r); }).message().find("cannot name a workspace 'shop': workspace ") == 0);
}

BOOST_AUTO_TEST_CASE(a_failed_create_takes_everything_back_and_keeps_what_was_said) {
  const Error error = error_of([&] { init({{"fail", "create"}}); });
  BOOST_TEST(kind(error) == 1);
  BOOST_TEST(error.detail() == "fault injection: fail=create");
  BOOST_TEST(nothing_is_left());
  BOOST_TEST(read_file(root / "last-init.log", 1 << 16).find("fault injection: fail=create") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_create_that_fails_after_the_fact_leaves_no_instance) {
  (void)error_of([&] { init({{"fail", "create"}, {"at", "after"}}); });
  BOOST_TEST(nothing_is_left());
  BOOST_TEST(fs::is_empty(root / "runtimes/fake/instances"));
}

BOOST_AUTO_TEST_CASE(a_crash_in_create_leaves_nothing) {
  (void)error_of([&] { init({{"crash", "create"}}); });
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(a_failed_start_is_remembered_and_the_workspace_stays) {
  const Record made = init({{"fail", "start"}});
  const Error error = error_of([&] { manager().start("shop"); });
  const Record after = *store.read(made.id).record;
  BOOST_TEST(after.last_error == error.message());
  BOOST_TEST((after.phase == Phase::none));
  BOOST_TEST(read_file(root / "workspaces" / made.id / "log", 1 << 16).find(error.detail()) != std::string::npos);
  BOOST_TEST((manager().show("shop").state == State::stopped));
  BOOST_TEST(manager().remove("shop", false).left_behind == "");
}

BOOST_AUTO_TEST_CASE(an_instance_removed_behind_our_back_is_told_and_made_again) {
  const Record made = init();
  fs::remove(backend(made.key));
  const Workspace seen = manager().show("shop");
  BOOST_TEST((seen.state == State::gone));
  BOOST_TEST(seen.problem == "workspace 'shop': its instance is gone");
  BOOST_TEST(seen.hint == "kortex-cli start shop");
  BOOST_TEST((manager().start("shop").state == State::running));
  BOOST_TEST(notices == (std::vector<std::string>{"the instance of 'shop' is gone: creating it again"}), boost::test_tools::per_element());
  fs::remove(backend(made.key));
  BOOST_TEST((manager().stop("shop", {}).state == State::stopped));
  BOOST_TEST(manager().remove("shop", false).left_behind == "");
}

BOOST_AUTO_TEST_CASE(a_running_workspace_is_removed_only_by_force) {
  init();
  manager().start("shop");
  const Error error = error_of([&] { manager().remove("shop", false); });
  BOOST_TEST(error.message() == "cannot remove workspace 'shop': it is running");
  BOOST_TEST(error.hint() == "kortex-cli stop shop");
  BOOST_TEST(kind(error) == 5);
  BOOST_TEST(manager().remove("shop", true).left_behind == "");
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(force_unregisters_when_the_runtime_fails_or_is_missing) {
  const Record failing = init({{"fail", "remove"}});
  const Error error = error_of([&] { manager().remove("shop", false); });
  BOOST_TEST(kind(error) == 1);
  BOOST_TEST(store.read(failing.id).record->last_error == error.message());
  BOOST_TEST(manager().remove("shop", true).left_behind == "an instance '" + failing.key + "' may be left behind: " + error.message());
  const Record orphan = init();
  runtimes = (sandbox / "no-runtimes").string();
  const Error missing = error_of([&] { manager().remove("shop", false); });
  BOOST_TEST(kind(missing) == 4);
  BOOST_TEST(missing.hint() == "kortex-cli remove --force shop");
  const auto seen = manager().list();
  BOOST_REQUIRE(seen.observed.size() == 1);
  BOOST_TEST((seen.observed[0].state == State::unknown));
  BOOST_TEST(seen.observed[0].problem == missing.message());
  BOOST_TEST(manager().remove("shop", true).left_behind.find("an instance '" + orphan.key + "' may be left behind: ") == 0);
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(a_broken_record_can_still_be_removed_and_its_instance_with_it) {
  const Record made = init();
  manager().start("shop");
  std::ofstream(root / "workspaces" / made.id / "workspace.json") << "broken";
  BOOST_TEST(error_of([&] { manager().start("shop"); }).hint() == "kortex-cli remove --force shop");
  BOOST_TEST(error_of([&] { manager().remove("shop", false); }).hint() == "kortex-cli remove --force shop");
  BOOST_TEST(manager().remove("shop", true).left_behind == "");
  BOOST_TEST(!fs::exists(fs::symlink_status(backend(made.key))));
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(a_broken_record_whose_instance_nobody_knows_is_removed_with_a_word) {
  const Record made = init();
  std::ofstream(root / "workspaces" / made.id / "workspace.json") << "broken";
  fs::remove(backend(made.key));
  BOOST_TEST(manager().remove("shop", true).left_behind ==
             "the record of 'shop' could not be read, and no installed runtime knows its instance: one whose label ends in '" +
                 made.id.substr(0, 12) + "' may be left behind");
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(a_newer_record_is_not_hinted_to_death) {
  const Record made = init();
  std::ofstream(root / "workspaces" / made.id / "workspace.json") << R"({"schema": 999})";
  BOOST_TEST(error_of([&] { manager().start("shop"); }).hint() == "update kortex-cli");
}

BOOST_AUTO_TEST_CASE(init_starts_at_once_when_asked_to) {
  InitRequest r = request({});
  r.start = true;
  const Record made = manager().init(r).record;
  BOOST_TEST((made.state == State::running && made.phase == Phase::none));
  BOOST_TEST(made.started_ms > 0);
  const Record stored = *store.read(made.id).record;
  BOOST_TEST((stored.state == State::running && stored.phase == Phase::none));
  BOOST_TEST(stored.instance_id == made.instance_id);
  BOOST_TEST((manager().show("shop").state == State::running));
}

BOOST_AUTO_TEST_CASE(a_start_that_fails_within_init_leaves_a_workspace_that_tells_why) {
  for (const auto& [fault, message] : {std::pair<std::string, std::string>{"fail", "fault injection: fail=start"}, {"crash", "crashed in start"}}) {
    InitRequest r = request({{fault, "start"}});
    r.start = true;
    const Error error = error_of([&] { manager().init(r); });
    BOOST_TEST((error.message() + error.detail()).find(message) != std::string::npos, error.message() + " / " + error.detail());
    const Workspace seen = manager().show("shop");
    BOOST_TEST((seen.state == State::created || seen.state == State::stopped));
    BOOST_REQUIRE(seen.entry.record);
    BOOST_TEST((seen.entry.record->phase == Phase::none));
    BOOST_TEST(seen.entry.record->last_error == error.message());
    BOOST_TEST(!seen.entry.record->instance_id.empty());
    manager().remove("shop", true);
  }
}

BOOST_AUTO_TEST_CASE(a_create_that_fails_before_a_start_unregisters) {
  for (const std::string fault : {"fail", "crash"}) {
    InitRequest r = request({{fault, "create"}});
    r.start = true;
    const Error error = error_of([&] { manager().init(r); });
    BOOST_TEST((error.message() + error.detail()).find("create") != std::string::npos, error.message());
    BOOST_TEST(nothing_is_left());
  }
}

BOOST_AUTO_TEST_CASE(what_a_killed_init_left_can_be_started) {
  const Record adopted = init();
  die_in(Phase::creating, adopted.id);
  BOOST_TEST(manager().show("shop").problem == "workspace 'shop': a kortex-cli was interrupted while creating it");
  BOOST_TEST((manager().start("shop").state == State::running));
  BOOST_TEST((store.read(adopted.id).record->phase == Phase::none));
  manager().remove("shop", true);
  const Record missing = init();
  die_in(Phase::creating, missing.id);
  fs::remove(backend(missing.key));
  const Workspace seen = manager().show("shop");
  BOOST_TEST((seen.state == State::stopped));
  BOOST_TEST(seen.hint == "kortex-cli start shop");
  BOOST_TEST((manager().start("shop").state == State::running));
}

BOOST_AUTO_TEST_CASE(what_is_done_while_a_list_is_made_was_not_interrupted) {
  const Record made = init();
  die_in(Phase::removing, made.id);
  const auto problem_after = [&](const std::function<void()>& meanwhile) {
    const Workspaces seen = manager().list([&](const Listing&) { meanwhile(); });
    BOOST_REQUIRE(seen.observed.size() == 1u);
    return seen.observed.front().problem;
  };
  BOOST_TEST(problem_after([] {}) == "workspace 'shop': a kortex-cli was interrupted while removing it");
  BOOST_TEST(problem_after([&] { manager().remove("shop", false); }) == "");
  const Record another = init();
  die_in(Phase::starting, another.id);
  BOOST_TEST(problem_after([&] { manager().start("shop"); }) == "");
}

BOOST_AUTO_TEST_CASE(what_a_killed_init_left_can_be_removed) {
  const Record made = init();
  die_in(Phase::creating, made.id);
  BOOST_TEST(manager().remove("shop", false).left_behind == "");
  BOOST_TEST(nothing_is_left());
  BOOST_TEST(!fs::exists(fs::symlink_status(backend(made.key))));
}

BOOST_AUTO_TEST_CASE(after_a_killed_start_or_stop_every_verb_goes_on) {
  const Record made = init();
  for (const Phase phase : {Phase::starting, Phase::stopping}) {
    die_in(phase, made.id);
    BOOST_TEST((manager().start("shop").state == State::running));
    die_in(phase, made.id);
    BOOST_TEST((manager().stop("shop", {}).state == State::stopped));
  }
}

BOOST_AUTO_TEST_CASE(a_killed_removal_only_goes_on) {
  const Record made = init();
  manager().start("shop");
  die_in(Phase::removing, made.id);
  fs::remove(root / "names/shop");
  const Error error = error_of([&] { manager().start("shop"); });
  BOOST_TEST(error.message() == "workspace 'shop' is half removed: its removal was interrupted");
  BOOST_TEST(error.hint() == "kortex-cli remove shop");
  BOOST_TEST(manager().remove("shop", false).left_behind == "");
  BOOST_TEST(nothing_is_left());
}

BOOST_AUTO_TEST_CASE(a_stopped_workspace_is_started_for_exec_or_refused) {
  init();
  ExecRequest run;
  run.argv = {"/bin/sh", "-c", "exit 3"};
  const Error error = error_of([&] { (void)manager().exec("shop", run, false); });
  BOOST_TEST(error.message() == "workspace 'shop' is stopped");
  BOOST_TEST(error.hint() == "kortex-cli start shop");
  BOOST_TEST(kind(error) == 5);
  const ExecEnd end = manager().exec("shop", run, true);
  BOOST_TEST((end.how == ExecEnd::How::exited && end.code == 3));
  BOOST_TEST(notices == (std::vector<std::string>{"starting 'shop'"}), boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(a_workspace_whose_sources_are_gone_is_not_started) {
  init();
  fs::remove(sources);
  BOOST_TEST(error_of([&] { manager().start("shop"); }).message() == "cannot start workspace 'shop': its sources '" + sources.string() + "' are gone");
  BOOST_TEST(manager().remove("shop", false).left_behind == "");
}

BOOST_AUTO_TEST_CASE(a_backend_that_is_down_costs_its_rows_only) {
  init();
  std::ofstream(root / "runtimes/fake/down") << "it sleeps";
  const auto all = manager().list();
  BOOST_REQUIRE(all.observed.size() == 1);
  BOOST_TEST((all.observed[0].state == State::unknown));
  BOOST_TEST(all.observed[0].problem.find("it sleeps") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(renames_and_keeps_the_key) {
  const Record made = init();
  const Record renamed = manager().rename("shop", "market");
  BOOST_TEST(renamed.name == "market");
  BOOST_TEST(renamed.key == made.key);
  BOOST_TEST((manager().start("market").state == State::running));
}

BOOST_AUTO_TEST_SUITE_END()
