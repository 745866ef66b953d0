#include "root.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "files.hpp"
#include "programs.hpp"
#include "root_archive.hpp"

namespace kortex::microvm {

namespace {

/// "": not one that a guest can mount.
std::string file_system_of(const std::string& path) {
  const std::string begin = contents(path, 4096);
  const auto has = [&](std::size_t at, const std::string& magic) { return begin.compare(at, magic.size(), magic) == 0; };
  if (begin.size() < 2048) return {};
  if (has(0, "hsqs")) return "squashfs";
  if (has(1024, std::string("\xe2\xe1\xf5\xe0", 4))) return "erofs";
  if (has(1024 + 56, std::string("\x53\xef", 2))) return "ext4";
  return {};
}

std::string octal(std::uint64_t mode) {
  char text[32];
  std::snprintf(text, sizeof text, "%llo", static_cast<unsigned long long>(mode));
  return text;
}

void make_root(const Call& call, const std::string& path, const std::string& fresh) {
  const std::string sqfstar = need_program("sqfstar", "squashfs-tools", "use " + quoted(path) + " as the root");
  call.progress("prepare", "reading " + quoted(path));
  const RootArchive archive(call, path, fresh);
  call.progress("prepare", "making a root file system of " + quoted(path));
  const Layers::Root& top = archive.top();
  const ProcessResult made = run_fed(call,
                                     {sqfstar, "-comp", "lz4", "-quiet", "-no-progress", "-root-mode", octal(top.mode), "-root-uid", std::to_string(top.uid),
                                      "-root-gid", std::to_string(top.gid), fresh},
                                     [&](int fd) { archive.write(fd); });
  ::chmod(fresh.c_str(), 0600);  // whatever the umask: an image may hold what is nobody else's
  if (made.exit_code != 0)
    throw Error(KORTEX_E_BACKEND, "cannot make a root file system of " + quoted(path) + ": " + made.err.substr(0, made.err.find('\n')), {}, made.err);
}

[[noreturn]] void refuse(const std::string& path) {
  throw Error(KORTEX_E_INVALID, "cannot use " + quoted(path) + " as the root: " +
                                    (::access(path.c_str(), R_OK) == 0 ? "it is no directory, no tar archive and no ext4, erofs or squashfs image"
                                     : exists(path)                    ? "permission denied"
                                                                       : "no such file or directory"));
}

}  // namespace

void check_root(const std::string& choice) {
  if (choice == "host") return;
  if (choice.empty() || choice.front() != '/')
    throw Error(KORTEX_E_INVALID, "cannot use " + quoted(choice) + " as the root: neither 'host' nor an absolute path");
  if (choice == "/") throw Error(KORTEX_E_INVALID, "cannot use '/' as the root: nothing would be kept from the agent", "--runtime-option root=host");
  if (!is_directory(choice) && file_system_of(choice).empty() && !RootArchive::is_one(choice)) refuse(choice);
}

Root find_root(const Call& call, const Cache& cache, const std::string& choice) {
  check_root(choice);
  if (choice == "host") return {};
  if (is_directory(choice)) return {Root::Kind::directory, choice, {}};
  if (const std::string type = file_system_of(choice); !type.empty()) return {Root::Kind::image, choice, type};
  // Not by the name that roots had when they were made in another way: owners were this machine's, and the root directory anybody's.
  Root root{Root::Kind::image, {}, "squashfs"};
  root.path = cache.get("root-2-" + RootArchive::digest(call, choice), [&](const std::string& fresh) { make_root(call, choice, fresh); });
  return root;
}

}  // namespace kortex::microvm
