#include <stdlib.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/text.hpp"
#include "runtimes/plugin_file.hpp"
#include "runtimes/process_runner.hpp"
#include "system/files.hpp"
#include "system/sha256.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

/// A directory beside the final place, so that the file is checked where nobody else can change it and then
/// appears whole or not at all.
class Staging {
 public:
  explicit Staging(const fs::path& beside) {
    std::string pattern = (beside / ".install-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw Error(ErrorKind::failed, "cannot write to " + in_quotes(beside.string()) + ": " + reason_of(errno));
    m_path = pattern;
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    std::error_code ignored;
    fs::remove_all(m_path, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return m_path; }

 private:
  fs::path m_path;
};

enum class Packing { none, tar, deb };

Packing packing_of(const std::string& name) {
  if (name.ends_with(".deb")) return Packing::deb;
  for (const char* end : {".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"})
    if (name.ends_with(end)) return Packing::tar;
  return Packing::none;
}

/// What is in the archive, below `to`. The programs that know archives refuse names that lead outside.
void unpack(const std::string& given, const fs::path& archive, Packing packing, const fs::path& to) {
  fs::create_directory(to);
  const std::string from = archive.string(), into = to.string();
  const std::array<const char*, 5> deb{"dpkg-deb", "-x", from.c_str(), into.c_str(), nullptr};
  const std::array<const char*, 9> tar{"tar", "-x", "--no-same-owner", "--no-same-permissions", "-f", from.c_str(), "-C", into.c_str(), nullptr};
  kortex_process process{};
  process.struct_size = sizeof process;
  process.argv = packing == Packing::deb ? deb.data() : tar.data();
  process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
  RunnerSurroundings surroundings;
  std::string reason;
  surroundings.fail = [&](kortex_status status, const std::string& message, const std::string&, const std::string&) {
    reason = message;
    return status;
  };
  ProcessRunner runner(std::move(surroundings));
  kortex_process_result result{};
  result.struct_size = sizeof result;
  const kortex_status status = runner.run(process, &result);
  if (status == KORTEX_OK && result.exit_code == 0) return;
  if (status == KORTEX_OK) reason = std::string(process.argv[0]) + " cannot unpack it";
  throw Error(ErrorKind::failed, "cannot install " + in_quotes(given) + ": " + reason, {}, result.err == nullptr ? "" : result.err);
}

/// The one runtime in an unpacked archive.
fs::path find_runtime(const std::string& given, const fs::path& directory) {
  std::vector<fs::path> found;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file() && !entry.is_symlink() && !name_of_plugin_file(entry.path().filename().string()).empty())
      found.push_back(entry.path());
  if (found.size() == 1) return found.front();
  throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": " +
                                      (found.empty() ? "there is no file libkortex-runtime-NAME.so in it"
                                                     : "there are " + std::to_string(found.size()) + " runtimes in it"),
              found.empty() ? "" : "unpack it, and install one of them");
}

void check_digest(Invocation& invocation, const std::string& given, const fs::path& source) {
  const std::optional<std::string> wanted = invocation.option("sha256");
  if (!wanted) return;
  if (!is_sha256(*wanted))
    throw Error(ErrorKind::usage, "invalid value " + in_quotes(*wanted) + " for option '--sha256': not 64 hexadecimal digits");
  std::string lowered = *wanted;
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (const std::string digest = sha256_of_file(source); digest != lowered)
    throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": its sha256 is " + digest);
}

std::string described(const PluginFile& file) {
  return "runtime " + in_quotes(file.name) + (file.descriptor ? " " + printable(file.descriptor->version) : std::string()) + " from " +
         in_quotes(file.path.string());
}

/// What a user would meet instead of another file: that is said, and only done when it is wanted.
void check_replaced(Invocation& invocation, const std::string& given, const PluginFile& file, const fs::path& target) {
  for (const PluginFile& other : invocation.registry().scan()) {
    if (other.name != file.name || other.shadowed) continue;
    const bool same = other.path == target;
    if (!other.loadable() && !same) continue;
    if (!invocation.has("replace"))
      throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": it would " + (same ? "replace " : "take the place of ") + described(other),
                  "kortex-cli runtime install --replace " + shell_word(given));
    invocation.reporter().notice((same ? "replaced " : "this takes the place of ") + described(other));
    return;
  }
}

int run(Invocation& invocation) {
  const std::string& given = invocation.argument(0);
  const fs::path source = fs::path(invocation.environment().cwd()) / given;
  const fs::path directory = user_runtime_directory(invocation.environment());
  PluginFile installed;
  try {
    struct stat status {};
    if (::stat(source.c_str(), &status) != 0) throw std::system_error(errno, std::generic_category());
    if (!S_ISREG(status.st_mode)) throw std::system_error(EINVAL, std::generic_category());
    make_private_directories(directory);
    const Staging staging(directory);
    // The digest is of the copy: the original may change meanwhile.
    const fs::path copy = staging.path() / source.filename();
    fs::copy_file(source, copy);
    check_digest(invocation, given, copy);
    fs::path staged = copy;
    if (const Packing packing = packing_of(source.filename().string()); packing != Packing::none) {
      unpack(given, copy, packing, staging.path() / "unpacked");
      const fs::path found = find_runtime(given, staging.path() / "unpacked");
      staged = staging.path() / found.filename();
      fs::rename(found, staged);
    }
    fs::permissions(staged, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                                fs::perms::others_exec);
    installed = examine(staged, "user");
    if (installed.loadable()) installed.refusal = invocation.registry().pins().refusal(installed.name, staged);
    if (!installed.loadable())
      throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": " + installed.refusal, installed.hint);
    const fs::path target = directory / staged.filename();
    check_replaced(invocation, given, installed, target);
    sync_file(staged);
    fs::rename(staged, target);
    sync_directory(directory);
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::failed, "cannot install " + in_quotes(given) + ": " + unreadable_because(error.code()));
  }
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("name", installed.name).member("version", installed.descriptor->version).end_object();
    invocation.out() << json.take();
  } else {
    invocation.out() << printable(installed.name) << "\n";
  }
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "FILE", .help = "a file libkortex-runtime-NAME.so, or a .deb or .tar.gz with one in it", .kind = Kind::file},
};
constexpr OptionSpec options[] = {
    {.name = "sha256", .value = "DIGITS", .help = "what FILE's sha256 must be"},
    {.name = "replace", .help = "also when there is a runtime of that name"},
};
constexpr Example examples[] = {{"kortex-cli runtime install ./libkortex-runtime-echo.so", ""},
                                {"kortex-cli runtime install kortex-runtime-echo_1.2.0_amd64.deb", ""}};

}  // namespace

extern const Command runtime_install_command;
constinit const Command runtime_install_command = {
    .noun = "runtime",
    .verb = "install",
    .summary = "copy a runtime into your own directory of runtimes",
    .description = "The file is checked as it would be when loaded; none of its code is run. Of an archive only the runtime is "
                   "taken. Where there is a runtime of that name already, yours or the system's, it says which and changes "
                   "nothing without '--replace'.\n\n"
                   "Which files may be loaded can be pinned: a line 'sha256 = DIGITS' in /etc/kortex/runtimes.d/NAME.conf or "
                   "~/.config/kortex/runtimes.d/NAME.conf, and 'policy = pinned-only' in any file there.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
