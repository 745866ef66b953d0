#include "initramfs.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>

#include "files.hpp"
#include "modules.hpp"
#include "programs.hpp"

extern "C" {
extern const char kortex_microvm_guest_begin[], kortex_microvm_guest_end[];
}

namespace kortex::microvm {

namespace {

struct Wanted {
  const char* group;
  const char* module;
  bool required;
};

// In loading order within a group; guest/init.c says when each is. Beside "bus", "base" and "session" an instance has those it asks for.
constexpr Wanted wanted_modules[] = {
    {"virtiofs", "virtiofs", true}, {"9p", "9pnet_virtio", true}, {"9p", "9p", true}, {"base", "virtio_blk", true}, {"base", "crc32c_generic", false}, {"base", "ext4", true},
    {"base", "overlay", true},   {"net", "virtio_net", true},  {"squashfs", "squashfs", false},   {"erofs", "erofs", false},
    {"session", "virtio_console", true},
};

std::string module_bytes(const Call& call, const std::string& path) {
  const std::string packing = path.substr(path.rfind('.') + 1);
  if (packing == "ko") return contents(path);
  const std::string program = packing == "zst" ? "zstd" : packing == "gz" ? "gzip" : packing;
  const Fd out(::memfd_create("module", MFD_CLOEXEC));
  if (!out) fail_system("memfd");
  run_into(call, "unpack module " + quoted(path), {program, "-dc", path}, out.get());
  return contents("/proc/self/fd/" + std::to_string(out.get()));
}

struct Chosen {
  std::string group, file;
};

std::vector<Chosen> choose(const ModuleIndex& index, Bus bus, const std::set<std::string>& groups) {
  std::vector<Chosen> chosen;
  std::set<std::string> seen;
  const auto take = [&](const Wanted& wanted) {
    const bool always = std::string_view(wanted.group) == "bus" || std::string_view(wanted.group) == "base" || std::string_view(wanted.group) == "session";
    if ((!always && groups.count(wanted.group) == 0) || (!wanted.required && !index.has(wanted.module))) return;
    for (const std::string& file : index.files_of(wanted.module))
      if (seen.insert(file).second) chosen.push_back({wanted.group, file});
  };
  take({"bus", bus == Bus::pci ? "virtio_pci" : "virtio_mmio", true});
  for (const Wanted& wanted : wanted_modules) take(wanted);
  return chosen;
}

/// Of the few kernels that take signed modules only, as far as it can be seen from outside.
bool wants_signatures(const Kernel& kernel) {
  for (const std::string& path : {"/boot/config-" + kernel.release, kernel.modules + "/config"})
    if (contents(path, std::size_t{1} << 20).find("\nCONFIG_MODULE_SIG_FORCE=y") != std::string::npos) return true;
  return false;
}

std::string identity_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return path;  // whoever needs it says so
  return path + ' ' + std::to_string(status.st_size) + ' ' + std::to_string(status.st_mtim.tv_sec) + '.' + std::to_string(status.st_mtim.tv_nsec);
}

/// The plugin, which carries the guest's first program.
std::string own_file() {
  Dl_info found{};
  if (::dladdr(kortex_microvm_guest_begin, &found) == 0 || found.dli_fname == nullptr) fail_system("cannot find the plugin's own file");
  return found.dli_fname;
}

}  // namespace

void Archive::add(const std::string& name, unsigned mode, const std::string& bytes, unsigned major, unsigned minor) {
  char header[111];
  std::snprintf(header, sizeof header, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", ++m_count, mode, 0u, 0u, 1u, 0u,
                static_cast<unsigned>(bytes.size()), 0u, 0u, major, minor, static_cast<unsigned>(name.size() + 1), 0u);
  const auto pad = [this] { m_bytes.resize((m_bytes.size() + 3) / 4 * 4); };
  m_bytes.append(header, 110);
  m_bytes.append(name.c_str(), name.size() + 1);
  pad();
  m_bytes.append(bytes);
  pad();
}

void Archive::add_directory(const std::string& name) { add(name, S_IFDIR | 0755, ""); }
void Archive::add_file(const std::string& name, const std::string& bytes, unsigned mode) { add(name, S_IFREG | mode, bytes); }
void Archive::add_device(const std::string& name, unsigned major, unsigned minor) { add(name, S_IFCHR | 0600, "", major, minor); }

std::string Archive::finished() {
  add("TRAILER!!!", 0, "");
  m_bytes.resize((m_bytes.size() + 4095) / 4096 * 4096);
  return std::move(m_bytes);
}

void check_modules(const Kernel& kernel, Bus bus, const std::set<std::string>& groups) { (void)choose(ModuleIndex(kernel.modules), bus, groups); }

std::string initramfs(const Call& call, const Cache& cache, const Kernel& kernel, Bus bus, const std::set<std::string>& groups, const std::string& holder) {
  if (!exists(holder)) throw Error(KORTEX_E_UNAVAILABLE, "cannot run the agent: the session holder 'kortex-session' is not installed");
  // Not what is in the files, nor which modules there are: that takes longer to read than the rest of what is done before QEMU runs.
  // depmod writes its lists anew whenever a module comes or changes.
  Digest key;
  for (const std::string& path : {own_file(), holder, kernel.modules + "/modules.dep", kernel.modules + "/modules.builtin"}) key.add(identity_of(path) + '\n');
  key.add(bus == Bus::pci ? "pci" : "mmio");
  for (const std::string& group : groups) key.add(' ' + group);
  return cache.get("initramfs-" + key.text(), [&](const std::string& fresh) {
    const ModuleIndex index(kernel.modules);
    const std::vector<Chosen> chosen = choose(index, bus, groups);
    const bool whole = wants_signatures(kernel);
    const std::string guest(kortex_microvm_guest_begin, kortex_microvm_guest_end), session = contents(holder);
    Archive archive;
    for (const char* name : {"dev", "proc", "sys", "modules"}) archive.add_directory(name);
    archive.add_device("dev/console", 5, 1);
    archive.add_file("init", guest, 0755);
    archive.add_file("kortex-session", session, 0755);
    std::string list;
    for (const Chosen& module : chosen) {
      const std::string name = module_name(module.file) + ".ko";
      const std::string bytes = module_bytes(call, index.directory() + "/" + module.file);
      list += module.group + " " + name + "\n";
      archive.add_file("modules/" + name, whole ? bytes : slim_module(bytes), 0644);
    }
    archive.add_file("modules/list", list, 0644);
    replace_file(fresh, archive.finished());
  });
}

Fd with_files(const std::string& image, const std::vector<std::pair<std::string, std::string>>& named) {
  Fd whole = lifted(Fd(::memfd_create("initramfs", MFD_CLOEXEC)), "memfd");
  const Fd common(::open(image.c_str(), O_RDONLY | O_CLOEXEC));
  if (!common) fail_system("cannot read '" + image + "'");
  for (std::int64_t left = size_of(image); left > 0;) {
    const ssize_t size = ::sendfile(whole.get(), common.get(), nullptr, static_cast<std::size_t>(left));
    if (size <= 0) fail_system("cannot read '" + image + "'");
    left -= size;
  }
  Archive own;
  for (const auto& [name, text] : named) own.add_file(name, text, 0600);
  write_all(whole.get(), own.finished(), "memfd");
  return whole;
}

}  // namespace kortex::microvm
