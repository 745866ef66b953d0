#include "kernel.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <memory>

#include "files.hpp"
#include "lz4.hpp"
#include "programs.hpp"

namespace kortex::microvm {

namespace {

#if defined(__aarch64__)
constexpr const char* to_install = "apt-get install linux-image-cloud-arm64";
#else
constexpr const char* to_install = "apt-get install linux-image-cloud-amd64";
#endif

std::string installed_kernel() {
  utsname host{};
  ::uname(&host);
  const std::string own = std::string("/boot/vmlinuz-") + host.release;
  if (::access(own.c_str(), R_OK) == 0 && is_directory(std::string("/lib/modules/") + host.release)) return own;
  std::string newest, closed;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir("/boot"), &::closedir);
  while (const dirent* entry = folder ? ::readdir(folder.get()) : nullptr) {
    const std::string name = entry->d_name;
    if (name.compare(0, 8, "vmlinuz-") != 0 || !is_directory("/lib/modules/" + name.substr(8))) continue;
    if (::access(("/boot/" + name).c_str(), R_OK) != 0) {
      closed = "/boot/" + name;
      continue;
    }
    if (newest.empty() || ::strverscmp(name.c_str(), newest.c_str()) > 0) newest = name;
  }
  if (!newest.empty()) return "/boot/" + newest;
  if (!closed.empty())
    throw Error(KORTEX_E_UNAVAILABLE, "cannot read the kernel " + quoted(closed) + ": permission denied", "sudo chmod a+r " + closed);
  throw Error(KORTEX_E_UNAVAILABLE, "cannot find a kernel for the guest: no '/boot/vmlinuz-*' with its modules in '/lib/modules'", to_install);
}

std::size_t number_at(const std::string& bytes, std::size_t at, std::size_t size) {
  std::size_t value = 0;
  for (std::size_t i = 0; i < size && at + i < bytes.size(); ++i)
    value |= static_cast<std::size_t>(static_cast<unsigned char>(bytes[at + i])) << 8 * i;
  return value;
}

bool is_packed_image(const std::string& header) { return header.compare(0x202, 4, "HdrS") == 0; }

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Of an image as packages have it: within itself; else its name's.
std::string release_of(const std::string& path) {
  const std::string header = contents(path, 64 * 1024);
  if (header.size() > 0x264 && is_packed_image(header)) {
    const std::size_t at = number_at(header, 0x20e, 2) + 0x200;
    if (at > 0x200 && at < header.size()) return header.substr(at, header.find_first_of(std::string(" \0", 2), at) - at);
  }
  // Those of ARM do not say it, so a link to one (/vmlinuz) is followed.
  const std::string name = last_part(resolved(path));
  const std::size_t dash = name.find('-');
  return dash == std::string::npos ? std::string() : name.substr(dash + 1);
}

std::string unpack_with(const Call& call, const std::string& program, std::vector<std::string> arguments, const std::string& packed) {
  if (find_program(program).empty()) return {};
  const Fd in(::memfd_create("packed", MFD_CLOEXEC)), out(::memfd_create("unpacked", MFD_CLOEXEC));
  if (!in || !out) return {};
  write_all(in.get(), packed, "memfd");
  ::lseek(in.get(), 0, SEEK_SET);
  Process process;
  process.argv = {program};
  process.argv.insert(process.argv.end(), arguments.begin(), arguments.end());
  process.stdin_fd = in.get();
  process.stdout_fd = out.get();
  // Its status is of no use: what follows the packed data in a kernel is garbage to it.
  (void)call.run(process);
  return contents("/proc/self/fd/" + std::to_string(out.get()), std::size_t{256} << 20);
}

std::string unpacked(const Call& call, const std::string& path) {
  const std::string image = contents(path, std::size_t{128} << 20);
  if (image.size() < 0x300 || !is_packed_image(image)) return {};
  const std::size_t setup = number_at(image, 0x1f1, 1);
  const std::size_t at = ((setup == 0 ? 4 : setup) + 1) * 512 + number_at(image, 0x248, 4);
  const std::size_t size = number_at(image, 0x24c, 4);
  if (at >= image.size() || size > image.size() - at) return {};
  const std::string payload = image.substr(at, size);
  std::string out;
  if (payload.compare(0, 4, std::string("\x02\x21\x4c\x18", 4)) == 0) out = unpack_lz4_legacy(payload);
  if (payload.compare(0, 2, "\x1f\x8b") == 0) out = unpack_with(call, "gzip", {"-dc"}, payload);
  if (payload.compare(0, 4, "\xfd" "7zX") == 0) out = unpack_with(call, "xz", {"-dc", "--single-stream"}, payload);
  if (payload.compare(0, 4, "\x28\xb5\x2f\xfd") == 0) out = unpack_with(call, "zstd", {"-dcq"}, payload);
  // Its unpacked size is the payload's last word, so that a truncated kernel is never kept.
  const bool whole = out.size() == number_at(payload, payload.size() - 4, 4);
  return whole && out.compare(0, 4, "\x7f" "ELF") == 0 ? out : std::string();
}

}  // namespace

Kernel find_kernel(const std::string& path, const std::string& modules) {
  Kernel kernel;
  kernel.path = path.empty() ? installed_kernel() : path;
  if (::access(kernel.path.c_str(), R_OK) != 0)
    throw Error(KORTEX_E_INVALID, "cannot read the kernel " + quoted(kernel.path) + ": " + (exists(kernel.path) ? "permission denied" : "no such file"), to_install);
  kernel.release = release_of(kernel.path);
  kernel.modules = modules.empty() ? "/lib/modules/" + kernel.release : modules;
  if (kernel.release.empty() && !modules.empty()) kernel.release = last_part(resolved(modules));
  if (kernel.release.empty() || !exists(kernel.modules + "/modules.dep"))
    throw Error(KORTEX_E_INVALID, "cannot use the kernel " + quoted(kernel.path) + ": its modules are not in " + quoted(kernel.modules), "--runtime-option modules=DIR");
  return kernel;
}

std::string bootable(const Call& call, const Cache& cache, const Kernel& kernel) {
  const std::int64_t size = size_of(kernel.path);
  const std::string begin = contents(kernel.path, 64 * 1024);
  if (begin.size() < 0x300 || !is_packed_image(begin)) return kernel.path;  // those of ARM: there is nothing to unpack
  const std::string key =
      Digest().add(begin).add(size).add(contents_at(kernel.path, std::max<std::int64_t>(0, size - 64 * 1024), 64 * 1024)).text();
  try {
    return cache.get("vmlinux-" + key, [&](const std::string& fresh) {
      call.progress("prepare", "unpacking the kernel");
      const std::string image = unpacked(call, kernel.path);
      if (image.empty()) throw Error(KORTEX_E_UNSUPPORTED, "the kernel's packing is not known");
      replace_file(fresh, image);
    });
  } catch (const Error& error) {
    if (error.code != KORTEX_E_UNSUPPORTED) throw;
    return kernel.path;
  }
}

}  // namespace kortex::microvm
