#include "arguments.hpp"

#include <unistd.h>

#include <charconv>
#include <cstring>
#include <filesystem>
#include <iostream>

namespace kortex::check {
namespace {

namespace fs = std::filesystem;

constexpr const char* usage = R"(usage: kortex-runtime-check [OPTION...] PLUGIN

Checks a runtime plugin, libkortex-runtime-NAME.so, against the contract of kortex/runtime.h: the file, the table, and
what it does. Prints TAP. What the runtime does not offer or claim is skipped with the reason.

  --option K=V         a runtime option, as 'kortex-cli init --runtime-option' takes it (repeatable)
  --image IMAGE        the image for runtimes that have images; nothing need be in it
  --pretend            the runtime runs no agent: what needs one is skipped
  --delete COMMAND     a shell command that makes the instance with key $KORTEX_KEY and id $KORTEX_ID vanish behind the
                       runtime's back; without it the runtime's own remove is used
  --session-program P  the session holder; without it the installed one is used
  --only TEXT          just tests whose name begins with TEXT, or with '.TEXT' in it (repeatable)
  --skip TEXT          all but these (repeatable)
  --list               print the tests and what each is about, and do nothing
  --junit FILE         write the results as JUnit XML, too
  --record FILE        write what the plugin had run, and what that said: arguments, status, both streams, as JSON lines. Paths and names
                       of yours may be in it
  --timeout SECONDS    of one test (default: 60)
  --jobs N             tests that run at the same time (default: 1)
  --keep               leave the tests' directories behind
  --version, --help

exit status: 0 all that was tried holds, 1 something does not, 2 wrong usage, 77 the backend is not usable here and the
rest holds
)";

/// Installed beside us, or in the usual places.
std::string installed_session_program() {
  std::error_code error;
  const fs::path prefix = fs::read_symlink("/proc/self/exe", error).parent_path().parent_path();
  for (const fs::path& candidate : {prefix / "lib/kortex/kortex-session", prefix / KORTEX_INSTALL_LIBDIR / "kortex/kortex-session",
                                    fs::path("/usr/lib/kortex/kortex-session"), fs::path("/usr") / KORTEX_INSTALL_LIBDIR / "kortex/kortex-session",
                                    fs::path("/usr/local/lib/kortex/kortex-session")})
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  return {};
}

int refuse(const std::string& why) {
  std::cerr << "kortex-runtime-check: error: " << why << "\nhint: kortex-runtime-check --help\n";
  return 2;
}

int to_number(const std::string& text) {
  int number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : -1;
}

}  // namespace

std::optional<Arguments> parse_arguments(int argc, char** argv, int& status) {
  Arguments out;
  out.session_program = installed_session_program();
  status = 2;
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (word == "--help" || word == "-h") {
      std::cout << usage;
      status = 0;
      return std::nullopt;
    }
    if (word == "--version") {
      std::cout << "kortex-runtime-check " KORTEX_CHECK_VERSION "\n";
      status = 0;
      return std::nullopt;
    }
    if (word == "--list") {
      out.list = true;
    } else if (word == "--pretend") {
      out.pretends = true;
    } else if (word == "--keep") {
      out.keep = true;
    } else if (word.size() > 1 && word[0] == '-') {
      std::string value;
      if (const std::size_t equals = word.find('='); equals != std::string::npos && word[1] == '-') {
        value = word.substr(equals + 1);
        word.resize(equals);
      } else if (i + 1 < argc) {
        value = argv[++i];
      } else {
        status = refuse("option '" + word + "' needs a value, or is not known");
        return std::nullopt;
      }
      if (word == "--option") {
        const std::size_t equals = value.find('=');
        if (equals == std::string::npos || equals == 0) {
          status = refuse("option '--option' needs KEY=VALUE, not '" + value + "'");
          return std::nullopt;
        }
        out.options.emplace_back(value.substr(0, equals), value.substr(equals + 1));
      } else if (word == "--image") {
        out.image = value;
      } else if (word == "--delete") {
        out.delete_command = value;
      } else if (word == "--session-program") {
        out.session_program = fs::absolute(value).string();
      } else if (word == "--only") {
        out.only.push_back(value);
      } else if (word == "--skip") {
        out.skip.push_back(value);
      } else if (word == "--junit") {
        out.junit = value;
      } else if (word == "--record") {
        out.record = fs::absolute(value).string();
      } else if (word == "--timeout" || word == "--jobs") {
        const int number = to_number(value);
        if (number < 1) {
          status = refuse("option '" + word + "' needs a number above 0, not '" + value + "'");
          return std::nullopt;
        }
        if (word == "--jobs")
          out.jobs = number;
        else
          out.timeout = std::chrono::seconds(number);
      } else {
        status = refuse("unknown option '" + word + "'");
        return std::nullopt;
      }
    } else if (out.plugin.empty()) {
      out.plugin = fs::absolute(word).lexically_normal().string();
    } else {
      status = refuse("one plugin at a time, not '" + word + "' as well");
      return std::nullopt;
    }
  }
  if (out.plugin.empty() && !out.list) {
    status = refuse("no plugin is named");
    return std::nullopt;
  }
  return out;
}

}  // namespace kortex::check
