// Guarantees: isolation, mounts, images.
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <sstream>

#include "tests/attempts.hpp"
#include "tests/tests.hpp"

namespace kortex::check {

namespace fs = std::filesystem;

Instance& attempting(Bench& bench, Wish wish, const std::vector<std::string>& attempt) {
  Instance& instance = bench.instance(wish);
  instance.set_agent_attempt(attempt);
  expect_ok(instance.create());
  expect_ok(instance.start());
  return instance;
}

Findings attempted(Bench& bench, Wish wish, const std::vector<std::string>& attempt) { return attempting(bench, std::move(wish), attempt).report(); }

std::string reported(const Findings& findings, const std::string& name) {
  for (const auto& [found, value] : findings)
    if (found == name) return value;
  return {};
}

namespace {

std::string text_of(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

/// A directory of the host with a file in it.
fs::path host_directory(const Bench& bench, const std::string& name) {
  const fs::path directory = bench.own() / name;
  fs::create_directories(directory);
  fs::permissions(directory, static_cast<fs::perms>(0777));
  std::ofstream(directory / "file") << "of the host";
  fs::permissions(directory / "file", static_cast<fs::perms>(0666));
  return directory;
}

std::string namespace_of(const char* kind) {
  std::error_code error;
  return fs::read_symlink(std::string("/proc/self/ns/") + kind, error).string();
}

void sees_other_processes_and_mounts(Bench& bench) {
  const Findings found = attempted(bench, {}, {"spaces"});
  const bool own_kernel = !reported(found, "boot").empty() && reported(found, "boot") + "\n" != text_of("/proc/sys/kernel/random/boot_id");
  if (own_kernel) return;
  for (const char* kind : {"pid", "mnt"})
    expect(reported(found, kind) != namespace_of(kind), std::string("the instance has the host's own ") + kind + " namespace");
}

void does_not_see_the_hosts_files(Bench& bench) {
  const fs::path secret = host_directory(bench, "secret");
  const fs::path beside = bench.own() / "i1" / "secret";
  Wish wish;
  Instance& instance = bench.instance(wish);
  std::ofstream(beside) << "of the host";
  instance.set_agent_attempt({"files", (secret / "file").string(), beside.string(), bench.places().state_dir});
  expect_ok(instance.create());
  expect_ok(instance.start());
  std::size_t absent = 0;
  for (const auto& [name, value] : instance.report())
    if (name == "file") {
      expect(value == "absent", "a file of the host beside the sources is seen in the instance: " + in_quotes(value));
      ++absent;
    }
  expect_equal("files that were looked for", static_cast<std::int64_t>(absent), 3);
}

void has_a_userland_of_its_own(Bench& bench) {
  const Findings found = attempted(bench, {}, {"spaces"});
  struct stat usr {};
  ::stat("/usr", &usr);
  const std::string ours = std::to_string(usr.st_dev) + ':' + std::to_string(usr.st_ino);
  const bool own_kernel = reported(found, "boot") + "\n" != text_of("/proc/sys/kernel/random/boot_id");
  expect(own_kernel || reported(found, "usr") != ours, "the instance's /usr is the host's");
}

void has_a_kernel_of_its_own(Bench& bench) {
  const Findings found = attempted(bench, {}, {"spaces"});
  expect(!reported(found, "boot").empty(), "the instance's boot_id cannot be read");
  expect(reported(found, "boot") + "\n" != text_of("/proc/sys/kernel/random/boot_id"), "the instance has the host's boot_id: it has no kernel of its own");
}

constexpr const char* mounted = "/mnt/kortex-check";

void mounts_what_is_asked(Bench& bench) {
  const fs::path directory = host_directory(bench, "mounted");
  const fs::path file = bench.own() / "single";
  std::ofstream(file) << "single";
  Wish wish;
  wish.mounts = {{directory.string(), mounted, 0},
                 {file.string(), "/mnt/kortex-check-file", 0},
                 {(bench.own() / "nowhere").string(), "/mnt/kortex-check-optional", KORTEX_MOUNT_OPTIONAL}};
  const Findings found = attempted(bench, wish, {"mounts", mounted, std::string(mounted) + "/file", "/mnt/kortex-check-file"});
  expect_equal("writing to a mount", reported(found, "write"), "ok");
  expect_equal("what was written to a mount", text_of(directory / "from-inside"), "inside");
  std::vector<std::string> files;
  for (const auto& [name, value] : found)
    if (name == "file") files.push_back(value);
  expect(files.size() >= 3 && files[1] == "of the host" && files[2] == "single", "a file of a mount is not what it is on the host");
}

void keeps_read_only_mounts_as_they_are(Bench& bench) {
  const fs::path directory = host_directory(bench, "read-only");
  Wish wish;
  wish.mounts = {{directory.string(), mounted, KORTEX_MOUNT_READ_ONLY}};
  const Findings found = attempted(bench, wish, {"readonly", mounted});
  expect_equal("a file in a read-only mount, read from inside", reported(found, "file"), "of the host");
  std::string said;
  for (const auto& [name, value] : found) {
    said += (said.empty() ? "" : ", ") + name + " " + value;
    if (name.rfind("create", 0) == 0 || name.rfind("change", 0) == 0)
      expect(value != "ok", "a read-only mount was written to from inside (" + name + "): " + said);
  }
  expect_equal("a file in a read-only mount, afterwards", text_of(directory / "file"), "of the host");
  for (const fs::directory_entry& entry : fs::directory_iterator(directory))
    expect(entry.path().filename() == "file", "in a read-only mount there is now '" + entry.path().filename().string() + "'");
}

void takes_the_image_that_is_given(Bench& bench) {
  Wish wish;
  wish.image = "localhost/kortex-check-no-such-image:0";
  Instance& instance = bench.instance(wish);
  const Outcome created = instance.create();
  expect(created.signal == 0 && created.status && created.status != KORTEX_OK, "create() with an image that does not exist: " + created.what_happened());
  expect(created.failures.size() >= 1, "create() did not say why it cannot have the image");
  expect_equal("the state of an instance whose image does not exist", state_name(instance.state()), "gone");
}

void builds_the_image_that_is_described(Bench& bench) {
  const fs::path context = bench.own() / "context";
  fs::create_directories(context);
  std::ofstream(context / "marker") << "built";
  std::ofstream(context / "Dockerfile") << "FROM " << bench.arguments().image << "\nCOPY marker /kortex-check-marker\n";
  Wish wish;
  wish.build_context = context.string();
  const Findings found = attempted(bench, wish, {"files", "/kortex-check-marker"});
  expect_equal("a file that the build put into the image", reported(found, "file"), "built");
}

constexpr std::uint32_t needs = need_backend | need_agent;
constexpr Test table[] = {
    {.part = "isolation", .name = "sees-other-processes-and-mounts", .rule = "isolation >= PROCESS", .needs = needs, .isolation = KORTEX_ISOLATION_PROCESS, .run = sees_other_processes_and_mounts},
    {.part = "isolation", .name = "does-not-see-the-hosts-files", .rule = "isolation >= PROCESS", .needs = needs, .isolation = KORTEX_ISOLATION_PROCESS, .run = does_not_see_the_hosts_files},
    {.part = "isolation", .name = "has-a-userland-of-its-own", .rule = "isolation >= CONTAINER", .needs = needs, .isolation = KORTEX_ISOLATION_CONTAINER, .run = has_a_userland_of_its_own},
    {.part = "isolation", .name = "has-a-kernel-of-its-own", .rule = "isolation >= MICROVM", .needs = needs, .isolation = KORTEX_ISOLATION_MICROVM, .run = has_a_kernel_of_its_own},
    {.part = "mounts", .name = "mounts-what-is-asked", .rule = "KORTEX_GUARANTEE_MOUNTS", .needs = needs, .guarantee = KORTEX_GUARANTEE_MOUNTS, .run = mounts_what_is_asked},
    {.part = "ro-mounts", .name = "keeps-read-only-mounts-as-they-are", .rule = "KORTEX_GUARANTEE_READ_ONLY_MOUNTS: not writable, not remountable", .needs = needs, .guarantee = KORTEX_GUARANTEE_READ_ONLY_MOUNTS, .run = keeps_read_only_mounts_as_they_are},
    {.part = "image", .name = "takes-the-image-that-is-given", .rule = "KORTEX_GUARANTEE_IMAGE", .needs = needs, .guarantee = KORTEX_GUARANTEE_IMAGE, .run = takes_the_image_that_is_given},
    {.part = "build", .name = "builds-the-image-that-is-described", .rule = "KORTEX_GUARANTEE_BUILD", .needs = needs | need_image, .guarantee = KORTEX_GUARANTEE_BUILD, .run = builds_the_image_that_is_described},
};

}  // namespace

const std::span<const Test> place_tests = table;

}  // namespace kortex::check
