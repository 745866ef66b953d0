#include <fcntl.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <vector>

#include <kortex/fd.hpp>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/text.hpp"
#include "runtimes/plugin_file.hpp"
#include "runtimes/runtime_archive.hpp"
#include "system/files.hpp"
#include "system/sha256.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

constexpr const char* staging_prefix = ".install-";

/// A directory beside the final place, so that the file is checked where nobody else can change it and then
/// appears whole or not at all. Its lock tells it from one that a killed command has left.
class Staging {
 public:
  explicit Staging(const fs::path& beside) {
    remove_left(beside);
    do {
      std::string pattern = (beside / (std::string(staging_prefix) + "XXXXXX")).string();
      if (::mkdtemp(pattern.data()) == nullptr)
        throw Error(ErrorKind::failed, "cannot write to " + in_quotes(beside.string()) + ": " + reason_of(errno));
      m_path = pattern;
      m_lock = locked(m_path);
    } while (!m_lock);  // another command took it for one that was left
  }
  Staging(const Staging&) = delete;
  Staging& operator=(const Staging&) = delete;
  ~Staging() {
    std::error_code ignored;
    fs::remove_all(m_path, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return m_path; }

 private:
  static Fd locked(const fs::path& directory) {
    Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    struct stat there {};
    if (!fd || ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0 || ::fstat(fd.get(), &there) != 0 || there.st_nlink == 0) return {};
    return fd;
  }

  static void remove_left(const fs::path& beside) {
    std::error_code error;
    std::vector<fs::path> all;
    for (fs::directory_iterator entry(beside, error), end; !error && entry != end; entry.increment(error))
      if (entry->path().filename().string().starts_with(staging_prefix)) all.push_back(entry->path());
    for (const fs::path& directory : all)
      if (const Fd lock = locked(directory)) fs::remove_all(directory, error);
  }

  fs::path m_path;
  Fd m_lock;
};

void check_digest(Invocation& invocation, const std::string& given, const fs::path& source) {
  const std::optional<std::string> wanted = invocation.option("sha256");
  if (!wanted) return;
  if (!is_sha256(*wanted))
    throw Error(ErrorKind::usage, "invalid value " + in_quotes(*wanted) + " for option '--sha256': not 64 hexadecimal digits");
  std::string lowered = *wanted;
  std::transform(lowered.begin(), lowered.end(), lowered.begin(), [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c; });
  if (const std::string digest = sha256_of_file(source); digest != lowered)
    throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": its sha256 is " + digest + ", not " + lowered);
}

std::string described(const PluginFile& file) {
  return "runtime " + in_quotes(file.name) + (file.descriptor ? " " + printable(file.descriptor->version) : std::string()) + " from " +
         in_quotes(file.path.string());
}

/// What was given and may be changed by anybody is not what somebody has checked, unless its digest says so.
void check_writers(Invocation& invocation, const std::string& given, const struct stat& status) {
  if ((status.st_mode & S_IWOTH) == 0 || invocation.has("sha256")) return;
  throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": it can be written by other users", "chmod o-w " + shell_word(given));
}

/// What to type, of the file as it was given: its copy is gone by then.
std::string hint_for(const std::string& given, const PluginFile& refused) {
  if (!refused.descriptor) return given.ends_with(".so") ? "" : "a runtime is a file libkortex-runtime-NAME.so, or a .deb or .tar.gz with one in it";
  if (refused.descriptor->name == refused.name) return {};
  return "mv " + shell_word(given) + " " + shell_word((fs::path(given).parent_path() / ("libkortex-runtime-" + refused.descriptor->name + ".so")).string());
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
    check_writers(invocation, given, status);
    make_private_directories(directory);
    const Staging staging(directory);
    // The digest is of the copy: the original may change meanwhile.
    const fs::path copy = staging.path() / source.filename();
    fs::copy_file(source, copy);
    check_digest(invocation, given, copy);
    const Packing packing = packing_of(copy);
    fs::path staged = copy;
    if (packing != Packing::none) {
      fs::create_directory(staging.path() / "unpacked");
      try {
        staged = take_runtime_out(copy, packing, staging.path() / "unpacked");
      } catch (const Error& error) {
        throw Error(error.kind(), "cannot install " + in_quotes(given) + ": " + error.message(), error.hint(), error.detail());
      }
    }
    fs::permissions(staged, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                                fs::perms::others_exec);
    installed = examine(staged, "user");
    if (installed.loadable()) installed.refusal = invocation.registry().pins().refusal(installed.name, staged);
    if (!installed.loadable())
      throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": " + installed.refusal, packing == Packing::none ? hint_for(given, installed) : "");
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
