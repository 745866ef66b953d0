#include "engines.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace kortex::bench {
namespace {

namespace fs = std::filesystem;

std::string first_line_of(const std::string& command) {
  std::string out;
  FILE* pipe = ::popen((command + " 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return out;
  for (int c; (c = std::fgetc(pipe)) != EOF && c != '\n';) out += static_cast<char>(c);
  while (std::fgetc(pipe) != EOF) {
  }
  ::pclose(pipe);
  return out;
}

/// Whatever was made is removed, however it ends.
class Workspaces {
 public:
  Workspaces(const std::string& cli, const fs::path& store) : m_prefix{cli, "--storage", store.string()} {
    fs::create_directory(store);
    fs::permissions(store, fs::perms::owner_all);
  }
  Workspaces(const Workspaces&) = delete;
  Workspaces& operator=(const Workspaces&) = delete;
  ~Workspaces() {
    for (const std::string& name : m_names) {
      try {
        run(command({"remove", "--force", name}));
      } catch (const std::exception& error) {
        std::fprintf(stderr, "kortex-bench: %s is left: %s\n", name.c_str(), error.what());
      }
    }
  }

  [[nodiscard]] Command command(const Command& words) const {
    Command all = m_prefix;
    all.insert(all.end(), words.begin(), words.end());
    return all;
  }
  void create(const fs::path& project, const std::string& engine, const std::string& image, const std::string& name) {
    run(command({"init", project.string(), "--runtime", engine, "--name", name, "--runtime-option", "image=" + image}));
    m_names.push_back(name);
  }

 private:
  Command m_prefix, m_names;
};

void measure(const std::string& engine, const std::string& image, const std::string& cli, const fs::path& place, int runs, int crowd, const Row& row) {
  Workspaces ours(cli, place / ("store-" + engine));
  ours.create(place / "project", engine, image, "bench-0");
  // The newest is the only one that is ours for sure.
  const std::string container = first_line_of(engine + " ps -aq --filter label=io.kortex.name=bench-0");
  if (container.empty()) throw std::runtime_error("the container of the benchmark is not listed by " + engine);
  const auto start = [&] { return run(ours.command({"start", "bench-0"})); };
  const auto stop = [&] { return run(ours.command({"stop", "bench-0"})); };
  row(engine + ": start + stop : " + engine + " start + stop", compare(runs, [&] { return start() + stop(); }, [&] {
    return run({engine, "start", container}) + run({engine, "stop", container});
  }), 1.0);
  start();
  row(engine + ": exec true : " + engine + " exec true", compare(runs, [&] { return run(ours.command({"exec", "bench-0", "--", "true"})); }, [&] {
    return run({engine, "exec", container, "true"});
  }), 1.0);
  stop();
  for (int i = 1; i < crowd; ++i) ours.create(place / "project", engine, image, "bench-" + std::to_string(i));
  row(engine + ": list of " + std::to_string(crowd) + " : " + engine + " ps -a", compare(runs, [&] { return run(ours.command({"list"})); }, [&] {
    return run({engine, "ps", "-a"});
  }), 1.0);
}

}  // namespace

void measure_engines(const std::string& cli, const fs::path& place, int runs, int crowd, const Row& row) {
  const char* given = std::getenv("KORTEX_BENCH_IMAGE");
  const std::string image = given != nullptr && *given != '\0' ? given : "localhost/kortex-test:1";
  for (const std::string engine : {"podman", "docker"}) {
    if (!first_line_of(engine + " version").empty() && !first_line_of(engine + " image inspect '" + image + "'").empty() &&
        first_line_of(engine + " image inspect '" + image + "'") != "[]")
      measure(engine, image, cli, place, runs, crowd, row);
    else
      std::printf("%s: not measured, it does not answer or has no image '%s' (KORTEX_BENCH_IMAGE names another)\n", engine.c_str(), image.c_str());
  }
}

}  // namespace kortex::bench
