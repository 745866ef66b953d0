/// Prints what the design allows each thing to cost, as ratios within this run on this machine, and what it costs.
///     kortex-bench [--smoke] [--only version|list|load|process|engines] PATH-OF-KORTEX-CLI
/// Ends with status 0 whatever the clock says; 1 when something could not be measured.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

#include <kortex/fd.hpp>
#include <kortex/runtime.h>

#include "engines.hpp"
#include "registered.hpp"
#include "runtimes/loader.hpp"
#include "runtimes/plugin_file.hpp"
#include "runtimes/registry.hpp"
#include "stopwatch.hpp"

namespace {

namespace fs = std::filesystem;
using kortex::Pipe;
using kortex::bench::Command;
using kortex::bench::Pair;
using kortex::bench::compare;
using kortex::bench::run;
using kortex::bench::run_until_byte;

/// Removed whatever happens.
class Folder {
 public:
  Folder() {
    std::string pattern = (fs::temp_directory_path() / "kortex-bench-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make " + pattern);
    m_path = pattern;
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(m_path, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return m_path; }

 private:
  fs::path m_path;
};

void print_row(const char* what, double measured, const char* unit, double budget, double a, double b) {
  std::printf("%-58s %8.2f %-2s  %7.2f   %-7s  (%.0f us : %.0f us)\n", what, measured, unit, budget, measured <= budget ? "met" : "NOT met", a, b);
  std::fflush(stdout);
}
void print_ratio(const char* what, const Pair& pair, double budget) { print_row(what, pair.ratio(), "x", budget, pair.a, pair.b); }

struct Bench {
  std::string cli;
  int runs;
  int many;
  fs::path place;

  [[nodiscard]] Command command(const std::string& store, std::initializer_list<std::string> words) const {
    Command all{cli, "--storage", (place / store).string()};
    all.insert(all.end(), words);
    return all;
  }

  void start_up() const {
    print_ratio("version : /bin/true", compare(runs * 5, [&] { return run({cli, "version"}); }, [] { return run({"/bin/true"}); }), 2);
  }

  void listing() const {
    for (const int count : {many / 10, many}) {
      const std::string store = "store-" + std::to_string(count);
      fs::create_directory(place / store);
      fs::permissions(place / store, fs::perms::owner_all);
      kortex::bench::register_many(cli, place / store, place / "project", count);
      const Pair pair = compare(runs, [&] { return run(command(store, {"list", "-o", "json"})); }, [&] { return run({cli, "version"}); });
      const std::string what = "list -o json, " + std::to_string(count) + " fake workspaces : version";
      print_ratio(what.c_str(), pair, std::max(8.0, 8.0 * count / 1000));
    }
  }

  void registering() const {
    const std::string full = "store-" + std::to_string(many);
    const auto init = [&](const std::string& store) {
      const double taken = run(command(store, {"init", (place / "project").string(), "--runtime", "fake", "--name", "one-more"}));
      run(command(store, {"remove", "one-more"}));
      return taken;
    };
    const std::string what = "init --runtime fake, " + std::to_string(many) + " registered : none";
    print_ratio(what.c_str(), compare(runs * 2, [&] { return init(full); }, [&] { return init("store-empty"); }), 1.2);
  }

  /// What a command spends on a plugin before the plugin's own work begins, measured where it happens: in a forked child,
  /// which loads it for the first time.
  static double load(const fs::path& folder, const std::string& state) {
    const Pipe pipe = Pipe::make();
    const pid_t child = ::fork();
    if (child < 0) throw std::runtime_error("cannot fork");
    if (child == 0) {
      double taken = -1;
      try {
        const auto start = std::chrono::steady_clock::now();
        const kortex::host::PluginFile file = kortex::host::Registry({{folder, "bench"}}).find("fake");
        const kortex_plugin& plugin = kortex::host::load_plugin(kortex::host::examine(file.path, file.origin));
        kortex_host host{};
        host.struct_size = sizeof host;
        host.abi_major = KORTEX_ABI_MAJOR;
        host.abi_minor = KORTEX_ABI_MINOR;
        host.name = "kortex-bench";
        host.version = "0";
        host.state_dir = host.cache_dir = host.runtime_dir = state.c_str();
        host.log = [](const kortex_host*, kortex_log_level, const char*) {};
        kortex_call call{};
        call.struct_size = sizeof call;
        call.host = &host;
        call.deadline_ms = -1;
        call.cancel_fd = call.resize_fd = call.signal_fd = -1;
        kortex_open_args args{};
        args.struct_size = sizeof args;
        kortex_runtime* runtime = nullptr;
        if (plugin.open(&call, &args, &host, &runtime) == KORTEX_OK)
          taken = std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
      } catch (const std::exception& error) {
        std::fprintf(stderr, "kortex-bench: error: %s\n", error.what());
      }
      [[maybe_unused]] const ssize_t n = ::write(pipe.write.get(), &taken, sizeof taken);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    double taken = -1;
    if (::read(pipe.read.get(), &taken, sizeof taken) != sizeof taken || taken < 0) throw std::runtime_error("the fake runtime cannot be loaded");
    return taken;
  }

  void loading() const {
    const fs::path runtimes = fs::path(cli).parent_path().parent_path() / "lib/kortex/runtimes";
    const fs::path crowd = place / "runtimes";
    fs::create_directory(crowd);
    fs::copy(runtimes / "libkortex-runtime-fake.so", crowd);
    for (int i = 0; i < many / 50; ++i) fs::create_symlink(runtimes / "libkortex-runtime-process.so", crowd / ("libkortex-runtime-x" + std::to_string(i) + ".so"));
    const std::string state = (place / "runtime-state").string();
    const Pair pair = compare(runs * 5, [&] { return load(crowd, state); }, [&] { return load(runtimes, state); });
    print_row("plugin load: find, checks, note, dlopen, open", pair.b / 1000, "ms", 0.5, pair.b, 0);
    const std::string what = "the same, " + std::to_string(many / 50) + " more installed : few";
    print_ratio(what.c_str(), pair, 1.1);
  }

  void first_byte() const {
    const std::string project = (place / "project").string(), fifo = project + "/first-byte";
    if (::mkfifo(fifo.c_str(), 0600) != 0) throw std::runtime_error("cannot make " + fifo);
    const std::string program = "printf x >'" + fifo + "'";
    fs::create_directories(place / "store-process/agents");
    for (const char* folder : {"store-process", "store-process/agents"}) fs::permissions(place / folder, fs::perms::owner_all);
    std::ofstream(place / "store-process/agents/byte.json") << R"({"description": "writes a byte", "command": ["/bin/sh", "-c", ")" << program << "\"]}\n";
    const Command bwrap{"bwrap", "--unshare-user", "--unshare-pid", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin",
                        "/bin", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--ro-bind", "/etc", "/etc", "--proc", "/proc", "--dev",
                        "/dev", "--tmpfs", "/tmp", "--bind", project, project, "--chdir", project, "/bin/sh", "-c", program};
    const auto forget = [&] { run(command("store-process", {"remove", "--force", "one"})); };
    const auto bare = [&] { return run_until_byte(bwrap, fifo); };
    const Pair at_once = compare(runs, [&] {
      const double taken = run_until_byte(command("store-process", {"init", project, "--runtime", "process", "--agent", "byte", "--name", "one", "--start"}), fifo);
      forget();
      return taken;
    }, bare);
    print_ratio("process: init --start to the agent's first byte : bwrap", at_once, 3);
    const Pair in_two = compare(runs, [&] {
      const double registered = run(command("store-process", {"init", project, "--runtime", "process", "--agent", "byte", "--name", "one"}));
      const double started = run_until_byte(command("store-process", {"start", "one"}), fifo);
      forget();
      return registered + started;
    }, bare);
    print_ratio("process: init, then start, to the first byte : bwrap", in_two, 3);
  }
};

}  // namespace

int main(int argc, char** argv) {
  bool smoke = false;
  std::string only;
  int at = 1;
  for (; at < argc - 1; ++at) {
    const std::string option = argv[at];
    if (option == "--smoke") smoke = true;
    else if (option == "--only" && at + 1 < argc - 1) only = argv[++at];
    else break;
  }
  if (argc < 2 || at != argc - 1) {
    std::fprintf(stderr, "usage: kortex-bench [--smoke] [--only version|list|load|process|engines] PATH-OF-KORTEX-CLI\n");
    return 2;
  }
  const auto wanted = [&](const char* section) { return only.empty() || only == section; };
  try {
    const Folder folder;
    fs::create_directory(folder.path() / "project");
    ::setenv("HOME", folder.path().c_str(), 1);
    const Bench bench{fs::canonical(argv[argc - 1]).string(), smoke ? 1 : 21, smoke ? 50 : 10'000, folder.path()};
    std::printf("%-58s %11s  %7s\n", "what", "measured", "budget");
    if (wanted("version")) bench.start_up();
    if (wanted("list")) {
      bench.listing();
      bench.registering();
    }
    if (wanted("load")) bench.loading();
    if (wanted("process")) {
      if (::system("bwrap --unshare-user --unshare-pid --ro-bind / / true") == 0) bench.first_byte();
      else std::printf("process: not measured, bubblewrap does not work here\n");
    }
    if (wanted("engines"))
      kortex::bench::measure_engines(bench.cli, folder.path(), smoke ? 1 : 11, smoke ? 3 : 100,
                                     [](const std::string& what, const Pair& pair, double budget) { print_ratio(what.c_str(), pair, budget); });
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kortex-bench: error: %s\n", error.what());
    return 1;
  }
}
