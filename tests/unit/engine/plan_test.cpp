#include "engine/plan.hpp"

#include <sys/stat.h>

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "sandbox.hpp"

using namespace kortex;
using namespace kortex::engine;
using kortex::test::Sandbox;

namespace {

namespace fs = std::filesystem;

struct Fixture {
  Sandbox sandbox;
  kortex_ref raw{sizeof raw, 0, "demo-12ab", nullptr, "My Demo (2)", nullptr};
  std::string state = (sandbox / "store/workspaces/1/runtime").string(), sources = (sandbox / "src").string();
  Places places{state, (sandbox / "store/runtimes/docker").string(), "/usr/lib/kortex/kortex-session", (sandbox / "home").string()};
  Identity me{::geteuid(), ::getegid(), ::geteuid(), ::getegid(), ""};
  Workspace workspace;

  Fixture() {
    raw.state_dir = state.c_str();
    fs::create_directories(state);
    fs::create_directories(sources);
    workspace.source_path = workspace.target_path = sources;
    workspace.agent_argv = {"sh"};
  }
  Container planned() { return plan(Ref(&raw), workspace, places, me, "localhost/a:1", "0.1.0"); }
  const Mount* mount_at(const Container& container, const std::string& target) {
    for (const Mount& mount : container.mounts)
      if (mount.target == target) return &mount;
    return nullptr;
  }
  std::string message_of_plan() {
    try {
      (void)planned();
    } catch (const Error& error) {
      return error.what();
    }
    return "nothing was thrown";
  }
  void write(const fs::path& file, const std::string& text) {
    fs::create_directories(file.parent_path());
    std::ofstream(file.string()) << text;
  }
  /// As git makes it.
  void make_repository(const fs::path& git) {
    write(git / "HEAD", "ref: refs/heads/main\n");
    fs::create_directories(git / "objects");
    fs::create_directories(git / "refs");
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(plan, Fixture)

BOOST_AUTO_TEST_CASE(mounts_sources_home_and_holder) {
  const Container out = planned();
  BOOST_TEST(out.name == "demo-12ab");
  BOOST_TEST(out.hostname == "my-demo-2");
  BOOST_REQUIRE(mount_at(out, sources) != nullptr);
  BOOST_TEST(mount_at(out, sources)->host_path == sources);
  BOOST_REQUIRE(mount_at(out, places.home) != nullptr);
  BOOST_TEST(mount_at(out, places.home)->host_path == state + "/home");
  BOOST_REQUIRE(mount_at(out, holder_program) != nullptr);
  BOOST_TEST(mount_at(out, holder_program)->read_only);
  BOOST_REQUIRE(mount_at(out, holder_directory) != nullptr);
  BOOST_TEST(mount_at(out, holder_directory)->host_path == state + "/session");
}

BOOST_AUTO_TEST_CASE(root_keeps_the_home_of_its_image) {
  places.home = "/root";
  me.uid = 0;
  BOOST_TEST(mount_at(planned(), "/root") == nullptr);
  me.uid = 1000;
  BOOST_TEST(mount_at(planned(), "/root") != nullptr);
}

BOOST_AUTO_TEST_CASE(hides_a_store_that_lies_among_the_sources) {
  workspace.source_path = workspace.target_path = sandbox.path().string();
  const Container out = planned();
  const Mount* hidden = mount_at(out, (sandbox / "store").string());
  BOOST_REQUIRE(hidden != nullptr);
  BOOST_TEST(hidden->host_path == "");
  BOOST_TEST(docker_body(out)["HostConfig"].at("Mounts").as_array().size() == out.mounts.size());
  // The home is among the sources too and is not replaced.
  BOOST_TEST(mount_at(out, places.home) == nullptr);
}

BOOST_AUTO_TEST_CASE(a_worktree_brings_its_repository) {
  make_repository(sandbox / "main/.git");
  write(sandbox / "main/.git/worktrees/src/commondir", "../..\n");
  write(sandbox / "main/.git/worktrees/src/gitdir", sources + "/.git\n");
  write(fs::path(sources) / ".git", "gitdir: " + (sandbox / "main/.git/worktrees/src").string() + "\n");
  const std::string git = (sandbox / "main/.git").string();
  BOOST_TEST(outside_git_directory(sources) == git);
  BOOST_REQUIRE(mount_at(planned(), git) != nullptr);
  // A repository of its own, and a link that leads nowhere, bring nothing.
  fs::remove(fs::path(sources) / ".git");
  write(fs::path(sources) / ".git/HEAD", "ref: refs/heads/main\n");
  BOOST_TEST(outside_git_directory(sources) == "");
  fs::remove_all(fs::path(sources) / ".git");
  write(fs::path(sources) / ".git", "gitdir: /nowhere/at/all\n");
  BOOST_TEST(outside_git_directory(sources) == "");
}

BOOST_AUTO_TEST_CASE(a_submodule_brings_its_git_directory) {
  const fs::path git = sandbox / "super/.git/modules/src";
  make_repository(git);
  write(git / "config", "[core]\n\tbare = false\n\tworktree = " + sources + "\n");
  write(fs::path(sources) / ".git", "gitdir: " + git.string() + "\n");
  BOOST_TEST(outside_git_directory(sources) == git.string());
}

BOOST_AUTO_TEST_CASE(a_git_directory_that_does_not_name_the_sources_is_none_of_theirs) {
  // The agent can write `.git`: what it names must name the sources, too.
  make_repository(sandbox / "secrets");
  write(sandbox / "secrets/worktrees/x/gitdir", "/somewhere/else/.git\n");
  write(sandbox / "secrets/worktrees/x/commondir", "../..\n");
  write(sandbox / "secrets/config", "[core]\n\tworktree = /somewhere/else\n");
  for (const char* named : {"secrets", "secrets/worktrees/x", "home", "."}) {
    write(fs::path(sources) / ".git", "gitdir: " + (sandbox / named).string() + "\n");
    BOOST_TEST(outside_git_directory(sources) == "", named);
  }
  // Nor does a `.git` that never ends, or that nobody writes to, keep us.
  fs::remove(fs::path(sources) / ".git");
  fs::create_symlink("/dev/zero", fs::path(sources) / ".git");
  BOOST_TEST(outside_git_directory(sources) == "");
  fs::remove(fs::path(sources) / ".git");
  BOOST_REQUIRE(::mkfifo((sources + "/.git").c_str(), 0600) == 0);
  BOOST_TEST(outside_git_directory(sources) == "");
}

BOOST_AUTO_TEST_CASE(the_store_is_hidden_in_what_is_mounted_as_well) {
  workspace.mounts = {{sandbox.path().string(), "/all", true, false}};
  const Container out = planned();
  const Mount* hidden = mount_at(out, "/all/store");
  BOOST_REQUIRE(hidden != nullptr);
  BOOST_TEST(hidden->host_path == "");
}

BOOST_AUTO_TEST_CASE(a_missing_mount_is_an_error_unless_it_is_optional) {
  workspace.mounts = {{"/nowhere/at/all", "/x", true, true}};
  BOOST_TEST(mount_at(planned(), "/x") == nullptr);
  workspace.mounts[0].optional = false;
  BOOST_TEST(message_of_plan() == "cannot mount '/nowhere/at/all': No such file or directory");
}

BOOST_AUTO_TEST_CASE(refuses_what_no_container_can_be) {
  workspace.network_denied = true;
  workspace.ports = {{80, 0, "127.0.0.1"}};
  BOOST_TEST(message_of_plan() == "cannot create 'My Demo (2)': ports cannot be reached with network mode 'deny'");
  workspace.ports.clear();
  workspace.allowed_hosts = {"example.org"};
  BOOST_TEST(message_of_plan() == "cannot create 'My Demo (2)': network mode 'deny' cannot leave single hosts reachable");
  workspace.allowed_hosts.clear();
  workspace.source_path = "/";
  BOOST_TEST(message_of_plan() == "cannot create 'My Demo (2)': '/' cannot be the sources of a container");
  workspace.source_path = sources;
  places.session_program.clear();
  BOOST_TEST(message_of_plan() == "cannot create 'My Demo (2)': the session holder 'kortex-session' is not installed");
}

BOOST_AUTO_TEST_CASE(says_the_same_in_both_dialects) {
  workspace.network_denied = true;
  workspace.cpus_milli = 1500;
  workspace.memory_bytes = 64 << 20;
  workspace.processes = 50;
  workspace.mounts = {{"/usr", "/mnt/a,b:c=\"d\"", true, false}};
  workspace.labels = {{"team", "blue"}};
  const Container out = planned();

  const json::value docker = docker_body(out);
  BOOST_TEST(text_at(docker, {"User"}) == std::to_string(me.uid) + ":" + std::to_string(me.gid));
  BOOST_TEST(text_at(docker, {"HostConfig", "NetworkMode"}) == "none");
  BOOST_TEST(number_at(docker, {"HostConfig", "NanoCpus"}) == 1500000000);
  BOOST_TEST(number_at(docker, {"HostConfig", "Memory"}) == 64 << 20);
  BOOST_TEST(number_at(docker, {"HostConfig", "PidsLimit"}) == 50);
  BOOST_TEST(text_at(docker, {"Labels", "team"}) == "blue");
  BOOST_TEST(text_at(docker, {"Labels", "io.kortex.key"}) == "demo-12ab");
  BOOST_TEST(json::serialize(docker).find(R"({"Type":"bind","Source":"/usr","Target":"/mnt/a,b:c=\"d\"","ReadOnly":true})") != std::string::npos);

  const json::value podman = libpod_body(out);
  BOOST_TEST(text_at(podman, {"user"}) == text_at(docker, {"User"}));
  BOOST_TEST(text_at(podman, {"netns", "nsmode"}) == "none");
  BOOST_TEST(number_at(podman, {"resource_limits", "cpu", "quota"}) == 150000);
  BOOST_TEST(number_at(podman, {"resource_limits", "memory", "limit"}) == 64 << 20);
  BOOST_TEST(number_at(podman, {"resource_limits", "pids", "limit"}) == 50);
  BOOST_TEST(text_at(podman, {"labels", "io.kortex.name"}) == "My Demo (2)");
  BOOST_TEST(json::serialize(podman).find(R"("source":"/usr","destination":"/mnt/a,b:c=\"d\"","options":["rbind","ro"])") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(asks_for_ports_on_the_address_given) {
  workspace.ports = {{8080, 0, "127.0.0.1"}, {9090, 19090, "0.0.0.0"}};
  const Container out = planned();
  BOOST_TEST(json::serialize(docker_body(out)["HostConfig"].at("PortBindings")) ==
             R"({"8080/tcp":[{"HostIp":"127.0.0.1","HostPort":""}],"9090/tcp":[{"HostIp":"0.0.0.0","HostPort":"19090"}]})");
  BOOST_TEST(json::serialize(libpod_body(out)["portmappings"]) ==
             R"([{"container_port":8080,"host_port":0,"host_ip":"127.0.0.1","protocol":"tcp"},)"
             R"({"container_port":9090,"host_port":19090,"host_ip":"0.0.0.0","protocol":"tcp"}])");
}

BOOST_AUTO_TEST_CASE(keeps_the_users_id_where_the_engine_maps_it) {
  me.user_namespace = "keep-id";
  BOOST_TEST(text_at(libpod_body(planned()), {"userns", "nsmode"}) == "keep-id");
  me.user_namespace = "host";
  BOOST_TEST(text_at(docker_body(planned()), {"HostConfig", "UsernsMode"}) == "host");
}

BOOST_AUTO_TEST_CASE(relabels_for_selinux) {
  Container out = planned();
  out.relabel = true;
  const json::value docker = docker_body(out);
  BOOST_TEST(array_at(docker, {"HostConfig", "Mounts"}).empty());
  BOOST_TEST(json::serialize(array_at(docker, {"HostConfig", "Binds"})).find(sources + ":" + sources + ":z") != std::string::npos);
  BOOST_TEST(json::serialize(libpod_body(out)).find(R"(["rbind","rw","z"])") != std::string::npos);
  out.mounts.push_back({"/a:b", "/a:b", false, false});
  BOOST_CHECK_THROW((void)docker_body(out), Error);
}

BOOST_AUTO_TEST_CASE(makes_mount_points_in_the_home_before_the_engine_does) {
  sources = (sandbox / "home/work/project").string();
  fs::create_directories(sources);
  write(sandbox / "rc", "x");
  workspace.source_path = workspace.target_path = sources;
  workspace.mounts = {{(sandbox / "rc").string(), places.home + "/.config/rc", true, false}};
  prepare_directories(planned(), places);
  BOOST_TEST(fs::is_directory(state + "/session"));
  BOOST_TEST(fs::is_directory(state + "/home/work/project"));
  BOOST_TEST(fs::is_regular_file(state + "/home/.config/rc"));
  prepare_directories(planned(), places);
}

BOOST_AUTO_TEST_CASE(follows_no_link_of_the_agents_when_it_makes_mount_points) {
  write(sandbox / "rc", "x");
  fs::create_directories(sandbox / "outside/there");
  workspace.mounts = {{(sandbox / "rc").string(), places.home + "/.config/deep/rc", true, false}};
  for (const char* link : {"home/.config", "home/.config/deep", "home/.config/deep/rc"}) {
    fs::remove_all(state + "/home");
    fs::create_directories((state + "/" + link).substr(0, (state + "/" + link).rfind('/')));
    fs::create_symlink(sandbox / "outside/there", state + "/" + link);
    BOOST_CHECK_THROW(prepare_directories(planned(), places), std::system_error);
    BOOST_TEST(fs::is_empty(sandbox / "outside/there"), link);
  }
}

BOOST_AUTO_TEST_SUITE_END()
