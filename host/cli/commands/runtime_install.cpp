#include <stdlib.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/locations.hpp"
#include "cli/output/json.hpp"
#include "cli/output/text.hpp"
#include "system/files.hpp"

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

int run(Invocation& invocation) {
  const std::string& given = invocation.argument(0);
  const fs::path source = fs::path(invocation.environment().cwd()) / given;
  const fs::path directory = user_runtime_directory(invocation.environment());
  PluginFile installed;
  try {
    make_private_directories(directory);
    const Staging staging(directory);
    const fs::path staged = staging.path() / source.filename();
    fs::copy_file(source, staged);
    fs::permissions(staged, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec | fs::perms::others_read |
                                fs::perms::others_exec);
    installed = examine(staged, "user");
    if (!installed.loadable())
      throw Error(ErrorKind::refused, "cannot install " + in_quotes(given) + ": " + installed.refusal, installed.hint);
    fs::rename(staged, directory / source.filename());
    sync_directory(directory);
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::failed, "cannot install " + in_quotes(given) + ": " + unreadable_because(error.code()));
  }
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("name", installed.name).end_object();
    invocation.out() << json.take();
  } else {
    invocation.out() << printable(installed.name) << "\n";
  }
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "FILE", .help = "a file libkortex-runtime-NAME.so", .kind = Kind::file},
};
constexpr Example examples[] = {{"kortex-cli runtime install ./libkortex-runtime-echo.so", ""}};

}  // namespace

extern const Command runtime_install_command;
constinit const Command runtime_install_command = {
    .noun = "runtime",
    .verb = "install",
    .summary = "copy a runtime into your own directory of runtimes",
    .description = "The file is checked as it would be when loaded; none of its code is run. One of the same name is "
                   "replaced. Packages install runtimes for everybody instead.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
