#include "instances/requirements.hpp"

#include <kortex/runtime.h>

#include "system/error.hpp"
#include "system/suggestions.hpp"

namespace kortex::host {

namespace {

constexpr Isolation isolations[] = {Isolation::none, Isolation::process, Isolation::container, Isolation::microvm};

struct Switch {
  const char* key;
  std::uint64_t bit;
  const char* lacking;
};
constexpr Switch switches[] = {
    {"host-loopback", KORTEX_GUARANTEE_HOST_LOOPBACK, "keeping the agent from the host's loopback"},
    {"mounts", KORTEX_GUARANTEE_MOUNTS, "mounts"},
    {"read-only-mounts", KORTEX_GUARANTEE_READ_ONLY_MOUNTS, "read-only mounts"},
    {"ports", KORTEX_GUARANTEE_PORTS, "ports"},
    {"cpus", KORTEX_GUARANTEE_CPUS, "a limit of processors"},
    {"memory", KORTEX_GUARANTEE_MEMORY, "a limit of memory"},
    {"processes", KORTEX_GUARANTEE_PROCESSES, "a limit of processes"},
    {"image", KORTEX_GUARANTEE_IMAGE, "images"},
    {"build", KORTEX_GUARANTEE_BUILD, "building an image"},
    {"tty", KORTEX_GUARANTEE_TTY, "terminals"},
    {"detach", KORTEX_GUARANTEE_DETACH, "leaving and entering the agent's session again"},
};

struct NetworkLevel {
  const char* value;
  std::uint64_t bit;
  const char* lacking;
};
constexpr NetworkLevel networks[] = {
    {"allow", KORTEX_GUARANTEE_NETWORK_ALLOW, "the host's network ('allow')"},
    {"deny", KORTEX_GUARANTEE_NETWORK_DENY, "no network ('deny')"},
    {"deny-hosts", KORTEX_GUARANTEE_NETWORK_DENY_HOSTS, "a network of just the hosts named ('deny' with hosts)"},
};

[[noreturn]] void bad_value(const std::string& key, const std::string& value, const std::vector<std::string>& choices) {
  std::string hint = "one of ";
  for (std::size_t i = 0; i < choices.size(); ++i) hint += (i == 0 ? "" : ", ") + choices[i];
  throw Error(ErrorKind::usage, "--require " + key + ": '" + value + "' is not a value of it", hint);
}

std::vector<std::string> isolation_names() {
  std::vector<std::string> names;
  for (const Isolation level : isolations) names.emplace_back(to_string(level));
  return names;
}

}  // namespace

void check_requirements(const KeyValues& require) {
  std::vector<std::string> known = {"isolation", "network"};
  for (const auto& entry : switches) known.emplace_back(entry.key);
  for (const auto& [key, value] : require) {
    if (key == "isolation") {
      const auto levels = isolation_names();
      bool found = false;
      for (const auto& level : levels) found = found || level == value;
      if (!found) bad_value(key, value, levels);
      continue;
    }
    if (key == "network") {
      bool found = false;
      for (const auto& network : networks) found = found || network.value == value;
      if (!found) bad_value(key, value, {"allow", "deny", "deny-hosts"});
      continue;
    }
    bool found = false;
    for (const auto& entry : switches) found = found || entry.key == key;
    if (!found) {
      const auto close = nearest(key, known);
      std::string hint = close.empty() ? "one of " : "did you mean '" + close.front() + "'?";
      if (close.empty())
        for (std::size_t i = 0; i < known.size(); ++i) hint += (i == 0 ? "" : ", ") + known[i];
      throw Error(ErrorKind::usage, "--require: unknown key '" + key + "'", hint);
    }
    if (value != "true")
      throw Error(ErrorKind::usage, "--require " + key + " takes no value, but '" + value + "' is given",
                  "--require " + key + (key == "cpus" || key == "memory" || key == "processes" ? "; how much is for \"resources\" of workspace.json" : ""));
  }
}

void check_required_network(const WorkspaceSpec& spec, const KeyValues& require, const std::string& file) {
  const std::string asked = spec.network.mode == Network::Mode::allow ? "allow" : spec.network.hosts.empty() ? "deny" : "deny-hosts";
  for (const auto& [key, value] : require) {
    if (key != "network" || value == asked || (value == "deny-hosts" && asked == "deny")) continue;
    throw Error(ErrorKind::refused, "network '" + value + "' is required, but the configuration asks for '" + asked + "'",
                value == "allow" ? "remove \"network\" from " + file : "write \"network\": {} in " + file);
  }
}

bool can_mount(const Mount& mount, const Guarantees& guarantees) {
  if ((guarantees.enforces & KORTEX_GUARANTEE_MOUNTS) == 0) return false;
  return !mount.read_only || (guarantees.enforces & KORTEX_GUARANTEE_READ_ONLY_MOUNTS) != 0;
}

std::vector<std::string> uncovered(const WorkspaceSpec& spec, bool network_stated, const KeyValues& require,
                                   const Guarantees& guarantees) {
  std::vector<std::string> missing;
  std::uint64_t said = 0;
  const auto need = [&](std::uint64_t bit) {
    if ((guarantees.enforces & bit) != 0 || (said & bit) != 0) return;
    said |= bit;
    for (const auto& entry : switches)
      if (entry.bit == bit) missing.emplace_back(entry.lacking);
    for (const auto& network : networks)
      if (network.bit == bit) missing.emplace_back(network.lacking);
  };
  const bool denies = spec.network.mode == Network::Mode::deny;
  if (denies) need(spec.network.hosts.empty() ? KORTEX_GUARANTEE_NETWORK_DENY : KORTEX_GUARANTEE_NETWORK_DENY_HOSTS);
  else if (network_stated) need(KORTEX_GUARANTEE_NETWORK_ALLOW);
  for (const auto& mount : spec.mounts) {
    need(KORTEX_GUARANTEE_MOUNTS);
    if (mount.read_only) need(KORTEX_GUARANTEE_READ_ONLY_MOUNTS);
  }
  if (!spec.ports.empty()) need(KORTEX_GUARANTEE_PORTS);
  if (spec.resources.cpus_milli != 0) need(KORTEX_GUARANTEE_CPUS);
  if (spec.resources.memory_bytes != 0) need(KORTEX_GUARANTEE_MEMORY);
  if (spec.resources.processes != 0) need(KORTEX_GUARANTEE_PROCESSES);
  if (!spec.image.empty()) need(KORTEX_GUARANTEE_IMAGE);
  if (!spec.build_context.empty()) need(KORTEX_GUARANTEE_BUILD);

  for (const auto& [key, value] : require) {
    if (key == "isolation") {
      for (const Isolation level : isolations)
        if (to_string(level) == value && guarantees.isolation < level)
          missing.push_back("isolation '" + value + "' (it has '" + std::string(to_string(guarantees.isolation)) + "')");
    } else if (key == "network") {
      for (const auto& network : networks)
        if (network.value == value) need(network.bit);
    } else {
      for (const auto& entry : switches)
        if (entry.key == key) need(entry.bit);
    }
  }
  return missing;
}

}  // namespace kortex::host
