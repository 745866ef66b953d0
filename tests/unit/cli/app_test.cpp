#include "cli/app.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <boost/test/unit_test.hpp>
#include <kortex/fd.hpp>
#include <map>

#include "sandbox.hpp"

using namespace kortex::host;

namespace {

std::string contents(int fd) {
  std::string text(65536, '\0');
  const ssize_t size = ::pread(fd, text.data(), text.size(), 0);
  text.resize(size > 0 ? static_cast<std::size_t>(size) : 0);
  return text;
}

struct Result {
  int status;
  std::string out, err;
};

/// The command line in this process, on an environment of the test's own.
struct CommandLine {
  kortex::test::Sandbox sandbox;
  std::map<std::string, std::string> variables;
  bool privileged = false;
  int stdout_fd = -1;

  Result run(std::vector<std::string> args) {
    const kortex::Fd out(::memfd_create("out", MFD_CLOEXEC)), err(::memfd_create("err", MFD_CLOEXEC));
    Environment environment;
    environment.args = std::move(args);
    environment.getenv = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables.find(name);
      if (found == variables.end()) return std::nullopt;
      return found->second;
    };
    environment.now_ms = [] { return std::int64_t{1'700'000'000'000}; };
    environment.cwd = [this] { return sandbox.path().string(); };
    environment.binary = [this] { return (sandbox / "bin/kortex-cli").string(); };
    environment.out = stdout_fd >= 0 ? stdout_fd : out.get();
    environment.err = err.get();
    environment.privileged = privileged;
    const int status = kortex::host::run(environment);
    return {status, contents(out.get()), contents(err.get())};
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(app)

BOOST_AUTO_TEST_CASE(answers_on_stdout_only) {
  const Result result = CommandLine().run({"version"});
  BOOST_TEST(result.status == 0);
  BOOST_TEST(result.out.starts_with("kortex-cli "));
  BOOST_TEST(result.err == "");
}

BOOST_AUTO_TEST_CASE(tells_errors_on_stderr_with_one_hint) {
  const Result result = CommandLine().run({"lsit"});
  BOOST_TEST(result.status == 2);
  BOOST_TEST(result.out == "");
  BOOST_TEST(result.err == "kortex-cli: error: no command 'lsit'\nhint: did you mean 'kortex-cli list'? 'kortex-cli help' shows all\n");
}

BOOST_AUTO_TEST_CASE(tells_errors_as_json_on_stdout_when_asked_to) {
  const Result result = CommandLine().run({"lsit", "-o", "json"});
  BOOST_TEST(result.status == 2);
  BOOST_TEST(result.out == "{\n  \"error\": \"no command 'lsit'\"\n}\n");
  BOOST_TEST(result.err == "");
}

BOOST_AUTO_TEST_CASE(needs_a_home_or_a_storage_directory) {
  CommandLine line;
  const Result without = line.run({"list", "-q"});
  BOOST_TEST(without.status == 1);
  BOOST_TEST(without.err ==
             "kortex-cli: error: cannot tell where workspaces are kept: HOME is not set\n"
             "hint: name a directory with --storage or KORTEX_CLI_STORAGE\n");
  const Result with = line.run({"list", "-q", "--storage", "store"});
  BOOST_TEST(with.status == 0);
  BOOST_TEST(with.err == "");
}

BOOST_AUTO_TEST_CASE(refuses_rights_that_the_caller_does_not_have) {
  CommandLine line;
  line.privileged = true;
  const Result result = line.run({"version"});
  BOOST_TEST(result.status == 7);
  BOOST_TEST(result.out == "");
  BOOST_TEST(result.err.starts_with("kortex-cli: error: refusing to run with rights that the caller does not have"));
}

BOOST_AUTO_TEST_CASE(ends_with_125_when_exec_fails_by_our_own_fault) {
  CommandLine line;
  const Result result = line.run({"exec", "w", "--", "true"});
  BOOST_TEST(result.status == 125);
  BOOST_TEST(result.err.starts_with("kortex-cli: error: cannot tell where workspaces are kept"));
  BOOST_TEST(line.run({"exec", "w"}).status == 2);
}

BOOST_AUTO_TEST_CASE(fails_when_the_answer_cannot_be_written) {
  CommandLine line;
  const kortex::Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  line.stdout_fd = full.get();
  const Result text = line.run({"version"});
  BOOST_TEST(text.status == 1);
  BOOST_TEST(text.err == "kortex-cli: error: cannot write to standard output: no space left on device\n");
  const Result json = line.run({"version", "-o", "json"});
  BOOST_TEST(json.status == 1);
  BOOST_TEST(json.err == "kortex-cli: error: cannot write to standard output: no space left on device\n");
}

BOOST_AUTO_TEST_CASE(ends_quietly_when_the_reader_has_gone) {
  ::signal(SIGPIPE, SIG_IGN);
  CommandLine line;
  kortex::Pipe pipe = kortex::Pipe::make();
  pipe.read.reset();
  line.stdout_fd = pipe.write.get();
  const Result result = line.run({"help"});
  BOOST_TEST(result.status == 141);
  BOOST_TEST(result.err == "");
}

BOOST_AUTO_TEST_CASE(lists_nothing_as_nothing_and_says_how_to_begin) {
  CommandLine line;
  line.variables["HOME"] = line.sandbox.path().string();
  const Result text = line.run({"list"});
  BOOST_TEST(text.status == 0);
  BOOST_TEST(text.out == "");
  BOOST_TEST(text.err == "kortex-cli: no workspaces; 'kortex-cli init --runtime NAME' makes one\n");
  const Result json = line.run({"list", "-o", "json"});
  BOOST_TEST(json.out == "{\n  \"items\": []\n}\n");
  BOOST_TEST(json.err == "");
}

BOOST_AUTO_TEST_CASE(installs_only_what_could_be_loaded_and_leaves_nothing_of_the_rest) {
  CommandLine line;
  line.variables["HOME"] = line.sandbox.path().string();
  const Result refused = line.run({"runtime", "install", "/bin/true"});
  BOOST_TEST(refused.status == 7);
  BOOST_TEST(refused.out == "");
  BOOST_TEST(refused.err.starts_with("kortex-cli: error: cannot install '/bin/true': "));
  BOOST_TEST(std::filesystem::is_empty(line.sandbox / ".local/lib/kortex/runtimes"));
  const Result absent = line.run({"runtime", "uninstall", "echo"});
  BOOST_TEST(absent.status == 4);
  BOOST_TEST(absent.err.starts_with("kortex-cli: error: no runtime 'echo'\n"));
}

BOOST_AUTO_TEST_CASE(completes_commands_options_and_choices) {
  CommandLine line;
  line.variables["HOME"] = line.sandbox.path().string();
  BOOST_TEST(line.run({"__complete", "--", "ren"}).out == "rename\tgive a workspace another name\n");
  BOOST_TEST(line.run({"__complete", "--", "runtime", ""}).out.starts_with("list\t"));
  BOOST_TEST(line.run({"__complete", "--", "list", "-o", ""}).out == "text\njson\n");
  BOOST_TEST(line.run({"__complete", "--", "list", "--output=j"}).out == "--output=json\n");
  BOOST_TEST(line.run({"__complete", "--", "init", ""}).out == ":directories\n");
  BOOST_TEST(line.run({"__complete", "--", "remove", "--fo"}).out.starts_with("--force\t"));
  BOOST_TEST(line.run({"__complete", "--", "exec", "w", "--", "l"}).out == "");
}

BOOST_AUTO_TEST_SUITE_END()
