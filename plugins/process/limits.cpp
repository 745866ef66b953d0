#include "limits.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "paths.hpp"

#include <kortex/fd.hpp>

namespace kortex::process {

namespace {

const std::string cgroup_root = "/sys/fs/cgroup";

struct Controller {
  std::uint64_t guarantee;
  const char* name;
};
constexpr Controller controllers[] = {
    {KORTEX_GUARANTEE_CPUS, "cpu"}, {KORTEX_GUARANTEE_MEMORY, "memory"}, {KORTEX_GUARANTEE_PROCESSES, "pids"}};

bool has_word(const std::string& text, const std::string& word) {
  return (" " + text + " ").find(" " + word + " ") != std::string::npos;
}

std::string words_of(const std::string& path) {
  std::string text = contents(path, 4096);
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

bool is_unified() { return exists(cgroup_root + "/cgroup.controllers"); }

/// Where the groups of `controller` begin; "" when we may not make any there.
std::string hierarchy(const std::string& controller) {
  if (is_unified()) {
    if (!has_word(words_of(cgroup_root + "/cgroup.controllers"), controller)) return {};
    return ::access((cgroup_root + "/cgroup.subtree_control").c_str(), W_OK) == 0 ? cgroup_root : std::string();
  }
  const std::string root = cgroup_root + "/" + controller;
  const char* limit = controller == "memory" ? "/memory.limit_in_bytes" : controller == "cpu" ? "/cpu.cfs_quota_us" : "/cgroup.procs";
  return exists(root + limit) && ::access(root.c_str(), W_OK) == 0 ? root : std::string();
}

bool write_setting(const std::string& path, const std::string& text) {
  const Fd file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  return file && ::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size());
}

void set(const std::string& path, const std::string& text) {
  if (!write_setting(path, text)) throw std::system_error(errno, std::generic_category(), "cannot set the limit '" + path + "'");
}

void make_group(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST)
    throw std::system_error(errno, std::generic_category(), "cannot make the control group '" + path + "'");
}

void limit(const std::string& group, const std::string& controller, const Workspace& workspace) {
  const bool unified = is_unified();
  if (controller == "cpu") {
    const std::string quota = std::to_string(workspace.cpus_milli * 100);
    if (unified) return set(group + "/cpu.max", quota + " 100000");
    set(group + "/cpu.cfs_period_us", "100000");
    return set(group + "/cpu.cfs_quota_us", quota);
  }
  if (controller == "memory") {
    const std::string bytes = std::to_string(workspace.memory_bytes);
    set(group + (unified ? "/memory.max" : "/memory.limit_in_bytes"), bytes);
    // Not more by way of swap; kernels without swap accounting have no such file.
    write_setting(group + (unified ? "/memory.swap.max" : "/memory.memsw.limit_in_bytes"), unified ? "0" : bytes);
    return;
  }
  // Two are ours: the holder, and bubblewrap that waits for it.
  set(group + "/pids.max", std::to_string(workspace.processes + 2));
}

std::uint64_t asked_for(const Workspace& workspace) {
  return (workspace.cpus_milli > 0 ? std::uint64_t{KORTEX_GUARANTEE_CPUS} : 0) |
         (workspace.memory_bytes > 0 ? std::uint64_t{KORTEX_GUARANTEE_MEMORY} : 0) |
         (workspace.processes > 0 ? std::uint64_t{KORTEX_GUARANTEE_PROCESSES} : 0);
}

}  // namespace

std::uint64_t enforceable_limits() {
  std::uint64_t found = 0;
  for (const Controller& controller : controllers)
    if (!hierarchy(controller.name).empty()) found |= controller.guarantee;
  return found;
}

std::vector<std::string> make_limit_groups(const std::string& key, const Workspace& workspace) {
  std::vector<std::string> groups;
  for (const Controller& controller : controllers) {
    if ((asked_for(workspace) & controller.guarantee) == 0) continue;
    const std::string root = hierarchy(controller.name);
    if (root.empty())
      throw Error(KORTEX_E_UNSUPPORTED, std::string("cannot limit the agent: this user may not make a control group for '") + controller.name + "'");
    const std::string parent = root + "/kortex", group = parent + "/" + key;
    make_group(parent);
    if (is_unified()) {
      set(root + "/cgroup.subtree_control", std::string("+") + controller.name);
      set(parent + "/cgroup.subtree_control", std::string("+") + controller.name);
    }
    make_group(group);
    limit(group, controller.name, workspace);
    if (std::find(groups.begin(), groups.end(), group) == groups.end()) groups.push_back(group);
  }
  return groups;
}

void remove_limit_groups(const std::string& key) {
  if (is_unified()) {
    ::rmdir((cgroup_root + "/kortex/" + key).c_str());
    return;
  }
  for (const Controller& controller : controllers) ::rmdir((cgroup_root + "/" + controller.name + "/kortex/" + key).c_str());
}

}  // namespace kortex::process
