/// Prints what the design allows each thing to cost, as ratios within this run on this machine, and what it costs.
///     kortex-bench [--smoke] PATH-OF-KORTEX-CLI
/// Ends with status 0 whatever the clock says; 1 when something could not be measured.
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string>

#include "registered.hpp"
#include "runtimes/registry.hpp"
#include "runtimes/runtime.hpp"
#include "stopwatch.hpp"

namespace {

namespace fs = std::filesystem;
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

  /// Loading is only ever done in an operation's own child process: the fork is part of what is measured, and so
  /// is the runtime's probe, which does nothing on `fake`.
  void loading() const {
    using namespace kortex::host;
    const fs::path runtimes = fs::path(cli).parent_path().parent_path() / "lib/kortex/runtimes";
    const fs::path crowd = place / "runtimes";
    fs::create_directory(crowd);
    fs::copy(runtimes / "libkortex-runtime-fake.so", crowd);
    for (int i = 0; i < many / 50; ++i) fs::create_symlink(runtimes / "libkortex-runtime-process.so", crowd / ("libkortex-runtime-x" + std::to_string(i) + ".so"));
    RuntimeContext context;
    context.state_dir = context.cache_dir = context.runtime_dir = (place / "runtime-state").string();
    const auto load = [&](const fs::path& folder) {
      const auto start = std::chrono::steady_clock::now();
      const Runtime runtime(Registry({{folder, "bench"}}).find("fake"), context);
      if (!runtime.probe({}, std::chrono::seconds(10)).usable) throw std::runtime_error("the fake runtime is not usable");
      return std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - start).count();
    };
    const Pair pair = compare(runs * 5, [&] { return load(crowd); }, [&] { return load(runtimes); });
    print_row("plugin: fork, checks, note, dlopen, open, probe", pair.b / 1000, "ms", 0.5, pair.b, 0);
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
  const bool smoke = argc == 3 && std::string(argv[1]) == "--smoke";
  if (!smoke && argc != 2) {
    std::fprintf(stderr, "usage: kortex-bench [--smoke] PATH-OF-KORTEX-CLI\n");
    return 2;
  }
  try {
    const Folder folder;
    fs::create_directory(folder.path() / "project");
    ::setenv("HOME", folder.path().c_str(), 1);
    const Bench bench{fs::canonical(argv[argc - 1]).string(), smoke ? 1 : 21, smoke ? 50 : 10'000, folder.path()};
    std::printf("%-58s %11s  %7s\n", "what", "measured", "budget");
    bench.start_up();
    bench.listing();
    bench.registering();
    bench.loading();
    if (::system("bwrap --unshare-user --unshare-pid --ro-bind / / true") == 0) {
      bench.first_byte();
    } else {
      std::printf("process: not measured, bubblewrap does not work here\n");
    }
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kortex-bench: error: %s\n", error.what());
    return 1;
  }
}
