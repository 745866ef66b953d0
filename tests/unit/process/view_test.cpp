// What an agent sees in the sandbox, and what is refused before there is one.
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <fstream>

#include <kortex/fd.hpp>

#include "plugin_host.hpp"

using kortex::test::PluginHost;

namespace {

struct Started : PluginHost {
  bool start_or_skip() {
    if (!kortex::test::bubblewrap_works()) return false;
    BOOST_REQUIRE_MESSAGE(create() == KORTEX_OK, message);
    BOOST_REQUIRE_MESSAGE(start() == KORTEX_OK, message);
    return true;
  }
  std::string output(const std::string& command) {
    std::string text;
    exec(command, text);
    return text;
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(view)

BOOST_AUTO_TEST_CASE(shows_the_sources_and_an_empty_home_and_nothing_of_the_store) {
  Started host;
  std::ofstream(host.source + "/file") << "content";
  if (!host.start_or_skip()) return;
  BOOST_TEST(host.output("pwd; cat file; touch made") == host.source + "\ncontent");
  BOOST_TEST(std::filesystem::exists(host.source + "/made"));
  BOOST_TEST(host.output("ls -A $HOME/.ssh 2>&1; ls " + host.path("store") + " 2>&1; test -e /etc/shadow; echo $?").find("1\n") != std::string::npos);
  std::string ignored;
  BOOST_TEST(host.exec("test -e " + host.path("store"), ignored) == 1);
  BOOST_TEST(host.exec("test -e $HOME/.ssh", ignored) == 1);
  BOOST_TEST(host.exec("cat /etc/passwd", ignored) == 0);
}

BOOST_AUTO_TEST_CASE(lets_nobody_out_by_the_usual_doors) {
  Started host;
  if (!host.start_or_skip()) return;
  std::string ignored;
  BOOST_TEST(host.exec("touch /usr/x || touch /etc/x || touch /x", ignored) == 1);
  BOOST_TEST(host.exec("echo x > /proc/sys/kernel/core_pattern", ignored) != 0);
  BOOST_TEST(host.exec("unshare -U true", ignored) != 0);
  BOOST_TEST(host.exec("mount -o remount,rw /usr", ignored) != 0);
  // A few processes of its own, none of the host's.
  BOOST_TEST(std::stoi(host.output("ls -d /proc/[0-9]* | wc -l")) < 8);
  BOOST_TEST(host.output("grep CapEff /proc/self/status") == "CapEff:\t0000000000000000\n");
}

BOOST_AUTO_TEST_CASE(has_no_network_when_that_is_denied) {
  const kortex::Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  BOOST_REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), size) == 0 && ::listen(server.get(), 4) == 0);
  BOOST_REQUIRE(::getsockname(server.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0);
  const std::string connect = "bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + std::to_string(ntohs(address.sin_port)) + "'";
  std::string ignored;
  {
    Started host;
    if (!host.start_or_skip()) return;
    BOOST_TEST(host.exec(connect, ignored) == 0);  // the same command does reach it when allowed
  }
  Started host;
  host.network = KORTEX_NETWORK_DENY;
  if (!host.start_or_skip()) return;
  BOOST_TEST(host.exec(connect, ignored) == 1);
  BOOST_TEST(host.output("tail -n +2 /proc/net/route") == "");
}

BOOST_AUTO_TEST_CASE(mounts_what_is_asked_for_and_read_only_means_it) {
  Started host;
  const std::string shared = host.path("shared");
  std::filesystem::create_directories(shared);
  std::ofstream(shared + "/file") << "shared";
  host.mount(shared, "/data", KORTEX_MOUNT_READ_ONLY);
  host.mount(shared, host.source + "/deep/data", 0);
  host.mount(host.path("absent"), "/absent", KORTEX_MOUNT_OPTIONAL);
  if (!host.start_or_skip()) return;
  BOOST_TEST(host.output("cat /data/file deep/data/file") == "sharedshared");
  std::string ignored;
  BOOST_TEST(host.exec("touch /data/new", ignored) != 0);
  BOOST_TEST(host.exec("touch deep/data/new", ignored) == 0);
  BOOST_TEST(std::filesystem::exists(shared + "/new"));
  BOOST_TEST(host.exec("test -e /absent", ignored) == 1);
}

BOOST_AUTO_TEST_CASE(covers_the_store_when_the_sources_contain_it) {
  Started host;
  host.source = host.path("");
  host.source.pop_back();
  if (!host.start_or_skip()) return;
  BOOST_TEST(host.output("ls") == "sources\nstore\n");
  BOOST_TEST(host.output("ls -A store") == "");
}

BOOST_AUTO_TEST_CASE(shows_sources_and_mounts_that_lie_among_temporary_files) {
  for (const char* place : {"/tmp", "/var/tmp"}) {
    std::string made = std::string(place) + "/kortex-sources-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(made.data()) != nullptr);
    {
      Started host;
      host.mount(host.source, std::string(place) + "/mounted", 0);
      std::ofstream(host.source + "/file") << "mounted";
      host.source = made;
      std::ofstream(made + "/file") << "content";
      if (host.start_or_skip()) {
        BOOST_TEST(host.output("pwd; cat file " + std::string(place) + "/mounted/file") == made + "\ncontentmounted");
        BOOST_TEST(host.output("echo kept > /tmp/note; cat /var/tmp/note") == "kept\n");
      }
    }
    std::filesystem::remove_all(made);
  }
}

BOOST_AUTO_TEST_CASE(refuses_what_would_show_everything) {
  PluginHost host;
  host.source = "/";
  BOOST_TEST(host.create() == KORTEX_E_INVALID);
  BOOST_TEST(host.message == "cannot use '/' as the sources: nothing would be kept from the agent");
  host.source = host.path("store");
  BOOST_TEST(host.create() == KORTEX_E_INVALID);
  BOOST_TEST(host.message == "cannot use '" + host.source + "' as the sources: it is the store of all workspaces");
}

BOOST_AUTO_TEST_CASE(refuses_links_that_lead_a_mount_elsewhere) {
  PluginHost host;
  std::filesystem::create_directory_symlink("/", host.source + "/link");
  host.mount(host.source + "/link", "/data", 0);
  BOOST_TEST(host.create() == KORTEX_E_PERMISSION);
  BOOST_TEST(host.message == "cannot mount '" + host.source + "/link': it leads out of '" + host.source +
                                 "' through a symbolic link that the agent could have made");
}

BOOST_AUTO_TEST_CASE(refuses_a_mount_point_that_cannot_be_made) {
  PluginHost host;
  host.mount(host.source, "/usr/no/such/place", 0);
  BOOST_TEST(host.create() == KORTEX_E_INVALID);
  BOOST_TEST(host.message == "cannot mount anything at '/usr/no/such/place': it does not exist and '/usr' is read-only in the sandbox");
}

BOOST_AUTO_TEST_CASE(refuses_mounts_over_what_the_sandbox_needs) {
  const auto refusal = [](const std::string& target) {
    PluginHost host;
    host.source = host.path("sources");
    std::filesystem::create_directories(host.path("shared"));
    host.mount(host.path("shared"), target, 0);
    BOOST_TEST(host.create() == KORTEX_E_INVALID, "at " << target << ": " << host.message);
    const std::string start = "cannot mount '" + host.path("shared") + "' at '" + target + "': ";
    BOOST_TEST(host.message.compare(0, start.size(), start) == 0, host.message);
    return host.message.size() > start.size() ? host.message.substr(start.size()) : std::string();
  };
  BOOST_TEST(refusal("/usr") == "it would hide '/usr', which the sandbox needs");
  BOOST_TEST(refusal("/") == "it would hide '/usr', which the sandbox needs");
  BOOST_TEST(refusal("/bin") == "it would hide '/bin', which the sandbox needs");
  BOOST_TEST(refusal("/run") == "it would hide '/run/kortex', which the sandbox needs");
  BOOST_TEST(refusal("/run/kortex") == "'/run/kortex' is the sandbox's own");
  BOOST_TEST(refusal("/proc/sys") == "'/proc' is the sandbox's own");
  BOOST_TEST(refusal("/dev/x") == "'/dev' is the sandbox's own");
  BOOST_TEST(refusal("/var/run/x") == "'/var/run' is a symbolic link to '/run' in the sandbox");
  if (std::filesystem::is_symlink("/bin")) BOOST_TEST(refusal("/bin/x") == "'/bin' is a symbolic link to '/usr/bin' in the sandbox");
}

BOOST_AUTO_TEST_CASE(refuses_a_file_over_a_directory_and_the_reverse) {
  const auto refusal = [](const std::string& host_path, const std::string& target, const std::string& second_target = {}) {
    PluginHost host;
    std::filesystem::create_directories(host.path("shared"));
    std::ofstream(host.path("file")) << "x";
    std::filesystem::create_directories(host.source + "/inner");
    host.mount(host.path(host_path), target.front() == '/' ? target : host.source + "/" + target, 0);
    if (!second_target.empty()) host.mount(host.path("shared"), second_target, 0);
    BOOST_TEST(host.create() == KORTEX_E_INVALID, "at " << target << ": " << host.message);
    const std::size_t reason = host.message.rfind(": ");
    return reason == std::string::npos ? host.message : host.message.substr(reason + 2);
  };
  BOOST_TEST(refusal("shared", "/etc/passwd") == "a directory cannot be mounted over a file");
  BOOST_TEST(refusal("file", "/usr/share") == "a file cannot be mounted over a directory");
  BOOST_TEST(refusal("file", "/tmp") == "a file cannot be mounted over a directory");
  BOOST_TEST(refusal("file", "inner") == "a file cannot be mounted over a directory");
  BOOST_TEST(refusal("file", "/data", "/data/x") == "'/data' is a file in the sandbox");
}

BOOST_AUTO_TEST_CASE(says_that_a_mounted_home_shows_everything_in_it) {
  if (!kortex::test::bubblewrap_works()) return;
  kortex_guarantees given{};
  PluginHost host;
  const char* home = std::getenv("HOME");
  BOOST_REQUIRE(home != nullptr);
  const std::string warning = "your whole home directory, keys and credentials included, because '" + std::string(home) + "' is mounted";
  BOOST_REQUIRE_MESSAGE(host.guarantees(given) == KORTEX_OK, host.message);
  BOOST_TEST(host.result.find("is mounted") == std::string::npos);
  host.mount(home, "/data", KORTEX_MOUNT_READ_ONLY);
  BOOST_REQUIRE_MESSAGE(host.guarantees(given) == KORTEX_OK, host.message);
  BOOST_TEST(host.result.find(warning) != std::string::npos, host.result);
}

BOOST_AUTO_TEST_CASE(claims_no_more_than_it_enforces) {
  kortex_guarantees given{};
  PluginHost bare;
  bare.sandbox = "none";
  BOOST_REQUIRE(bare.guarantees(given) == KORTEX_OK);
  BOOST_TEST(given.isolation == KORTEX_ISOLATION_NONE);
  BOOST_TEST((given.enforces & (KORTEX_GUARANTEE_MOUNTS | KORTEX_GUARANTEE_NETWORK_DENY | KORTEX_GUARANTEE_READ_ONLY_MOUNTS)) == 0u);
  BOOST_TEST(bare.result.find("everything") != std::string::npos);
  bare.network = KORTEX_NETWORK_DENY;
  bare.port(3000, 8080);
  BOOST_TEST(bare.guarantees(given) == KORTEX_OK);
  BOOST_TEST((given.enforces & KORTEX_GUARANTEE_NETWORK_DENY) == 0u);
  bare.network = KORTEX_NETWORK_ALLOW;
  BOOST_TEST(bare.guarantees(given) == KORTEX_E_UNSUPPORTED);
  BOOST_TEST(bare.message == "cannot forward port 3000 to 8080: the agent uses the host's ports, and cannot be given another");
  if (!kortex::test::bubblewrap_works()) return;
  PluginHost host;
  BOOST_REQUIRE_MESSAGE(host.guarantees(given) == KORTEX_OK, host.message);
  BOOST_TEST(given.isolation == KORTEX_ISOLATION_PROCESS);
  BOOST_TEST((given.enforces & KORTEX_GUARANTEE_HOST_LOOPBACK) == 0u);
  host.network = KORTEX_NETWORK_DENY;
  BOOST_REQUIRE_MESSAGE(host.guarantees(given) == KORTEX_OK, host.message);
  BOOST_TEST((given.enforces & KORTEX_GUARANTEE_NETWORK_DENY) != 0u);
  BOOST_TEST((given.enforces & KORTEX_GUARANTEE_PORTS) == 0u);
}

BOOST_AUTO_TEST_SUITE_END()
