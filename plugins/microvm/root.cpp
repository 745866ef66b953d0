#include "root.hpp"

#include <unistd.h>

#include "files.hpp"
#include "programs.hpp"

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

/// The program that unpacks it to a stream of tar; "tar": it is one already; "": it is no archive.
std::string unpacker_of(const std::string& path) {
  const std::string begin = contents(path, 512);
  if (begin.compare(0, 2, "\x1f\x8b") == 0) return "gzip";
  if (begin.compare(0, 4, "\xfd" "7zX") == 0) return "xz";
  if (begin.compare(0, 4, "\x28\xb5\x2f\xfd") == 0) return "zstd";
  if (begin.size() == 512 && begin.compare(257, 5, "ustar") == 0) return "tar";
  return {};
}

void refuse_image_layout(const Call& call, const std::string& path) {
  Process list;
  list.argv = {"tar", "-tf", path};
  const ProcessResult result = call.run(list);
  if (result.exit_code != 0)
    throw Error(KORTEX_E_INVALID, "cannot use " + quoted(path) + " as the root: it is no tar archive", {}, result.err);
  const std::string names = "\n" + result.out;
  for (const char* name : {"\noci-layout\n", "\nmanifest.json\n", "\n./oci-layout\n", "\n./manifest.json\n"})
    if (names.find(name) != std::string::npos)
      throw Error(KORTEX_E_UNSUPPORTED, "cannot use " + quoted(path) + " as the root: it holds an image in layers, not a file system",
                  "podman export CONTAINER > root.tar");
}

std::string content_of(const Call& call, const std::string& path) {
  Process process;
  process.argv = {"sha256sum", "--", path};
  const ProcessResult result = call.run(process);
  const std::size_t begin = result.out.compare(0, 1, "\\") == 0 ? 1 : 0;
  if (result.exit_code != 0 || result.out.size() < begin + 64) throw Error(KORTEX_E_INVALID, "cannot read " + quoted(path), {}, result.err);
  return result.out.substr(begin, 64);
}

Root made_from_archive(const Call& call, const Cache& cache, const std::string& path, const std::string& unpacker) {
  Root root{Root::Kind::image, {}, "squashfs"};
  root.path = cache.get("root-" + content_of(call, path), [&](const std::string& fresh) {
    const std::string sqfstar = need_program("sqfstar", "squashfs-tools", "use " + quoted(path) + " as the root");
    refuse_image_layout(call, path);
    call.progress("prepare", "making a root file system of " + quoted(path));
    const std::string read = unpacker == "tar" ? "cat" : unpacker + " -dc";
    // Names from the outside are arguments to the shell, never its text.
    run_into(call, "make a root file system of " + quoted(path),
             {"sh", "-c", read + " < \"$1\" | \"$2\" -comp lz4 -quiet -no-progress \"$3\"", "sh", path, sqfstar, fresh});
  });
  return root;
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
  if (!is_directory(choice) && file_system_of(choice).empty() && unpacker_of(choice).empty()) refuse(choice);
}

Root find_root(const Call& call, const Cache& cache, const std::string& choice) {
  check_root(choice);
  if (choice == "host") return {};
  if (is_directory(choice)) return {Root::Kind::directory, choice, {}};
  if (const std::string type = file_system_of(choice); !type.empty()) return {Root::Kind::image, choice, type};
  return made_from_archive(call, cache, choice, unpacker_of(choice));
}

}  // namespace kortex::microvm
