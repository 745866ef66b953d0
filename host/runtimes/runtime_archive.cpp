#include "runtimes/runtime_archive.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <string_view>
#include <system_error>
#include <vector>

#include <kortex/fd.hpp>

#include "runtimes/plugin_file.hpp"
#include "runtimes/process_runner.hpp"
#include "system/error.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_said = 64 * 1024;

std::string mebibytes(std::int64_t bytes) { return std::to_string(bytes / (1024 * 1024)) + " MiB"; }

/// Runs `argv` with its output going to the new file `to`, at most `limit` bytes of it; returns what it said on stderr.
std::string run_into(const std::vector<const char*>& argv, const fs::path& to, std::int64_t limit, const std::string& what) {
  const Fd file(::open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) throw std::system_error(errno, std::generic_category());
  std::int64_t written = 0;
  int write_error = 0;
  std::string said, reason;
  RunnerSurroundings surroundings;
  surroundings.output = [&](kortex_stream stream, std::string_view bytes) {
    if (stream == KORTEX_STREAM_STDERR) {
      said.append(bytes.substr(0, max_said - std::min(max_said, said.size())));
      return true;
    }
    written += static_cast<std::int64_t>(bytes.size());
    while (written <= limit && !bytes.empty()) {
      const ssize_t n = ::write(file.get(), bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) {
        write_error = errno;
        return false;
      }
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return written <= limit;
  };
  surroundings.fail = [&](kortex_status status, const std::string& message, const std::string&, const std::string&) {
    reason = message;
    return status;
  };
  static const char* const environment[] = {"LC_ALL=C", nullptr};
  kortex_process process{};
  process.struct_size = sizeof process;
  process.flags = KORTEX_RUN_STREAM;
  process.argv = argv.data();
  process.env_add = environment;
  process.stdin_fd = process.stdout_fd = process.stderr_fd = -1;
  ProcessRunner runner(std::move(surroundings));
  kortex_process_result result{};
  result.struct_size = sizeof result;
  const kortex_status status = runner.run(process, &result);
  if (write_error != 0) throw std::system_error(write_error, std::generic_category());
  if (written > limit) throw Error(ErrorKind::refused, what + " is larger than " + mebibytes(limit));
  if (status == KORTEX_OK && result.exit_code == 0) return said;
  // tar's word for a pattern that nothing matches.
  if (status == KORTEX_OK && said.find(": Not found in archive\n") != std::string::npos) return {};
  throw Error(ErrorKind::failed, status == KORTEX_OK ? std::string(argv[0]) + " cannot unpack it" : reason, {}, said);
}

}  // namespace

Packing packing_of(const fs::path& file) {
  std::array<char, 512> bytes{};
  std::ifstream in(file, std::ios::binary);
  in.read(bytes.data(), bytes.size());
  const std::string_view begin(bytes.data(), static_cast<std::size_t>(in.gcount()));
  if (begin.substr(0, 8) == "!<arch>\n") return Packing::deb;
  for (const std::string_view magic : {std::string_view("\x1f\x8b"), std::string_view("\xfd" "7zXZ"), std::string_view("\x28\xb5\x2f\xfd"), std::string_view("BZh")})
    if (begin.substr(0, magic.size()) == magic) return Packing::tar;
  if (begin.size() == bytes.size() && begin.substr(257, 5) == "ustar") return Packing::tar;
  if (begin.substr(0, 4) == "\x7f" "ELF") return Packing::none;
  const std::string name = file.filename().string();
  if (name.ends_with(".deb")) return Packing::deb;
  for (const char* end : {".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.zst", ".tar.bz2"})
    if (name.ends_with(end)) return Packing::tar;
  return Packing::none;
}

fs::path take_runtime_out(const fs::path& archive, Packing packing, const fs::path& into, std::int64_t max_size) {
  fs::path tar = archive;
  if (packing == Packing::deb) {
    tar = into / "files.tar";
    (void)run_into({"dpkg-deb", "--fsys-tarfile", archive.c_str(), nullptr}, tar, 4 * max_size, "what is in it");
  }
  // To stdout: no member is ever made as a file of its own name. The names go to stderr then.
  const fs::path out = into / "runtime";
  const std::string said = run_into({"tar", "-x", "-O", "-v", "--wildcards", "--no-wildcards-match-slash", "--no-anchored", "-f", tar.c_str(), "--",
                                     "libkortex-runtime-*.so", nullptr},
                                    out, max_size, "the runtime in it");
  std::vector<std::string> names;
  std::istringstream lines(said);
  for (std::string line; std::getline(lines, line);)
    if (const std::string name = fs::path(line).filename().string(); !name_of_plugin_file(name).empty()) names.push_back(name);
  if (names.size() > 1)
    throw Error(ErrorKind::refused, "there are " + std::to_string(names.size()) + " runtimes in it", "unpack it, and install one of them");
  // A link or a device of that name has no bytes.
  if (names.empty() || fs::file_size(out) == 0) throw Error(ErrorKind::refused, "there is no file libkortex-runtime-NAME.so in it");
  const fs::path named = into / names.front();
  fs::rename(out, named);
  return named;
}

}  // namespace kortex::host
