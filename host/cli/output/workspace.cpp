#include "cli/output/workspace.hpp"

#include <kortex/runtime.h>

#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "instances/sources.hpp"

namespace kortex::host {
namespace {

/// What is printed at one go: nothing can go wrong any more that would make it no answer.
constexpr std::size_t at_once = 48 * 1024;

std::int64_t started_at(const Summary& summary, const Observed& seen) {
  return seen.instance.started_ms > 0 ? seen.instance.started_ms : summary.started_ms;
}

const std::vector<Forward>& forwards_of(const Summary& summary, const Observed& seen) {
  static const std::vector<Forward> none;
  if (published_state(seen.state) != "running") return none;
  return seen.instance.forwards.empty() ? summary.forwards : seen.instance.forwards;
}

void add_forwards(JsonText& json, const std::vector<Forward>& forwards) {
  json.key("forwards").begin_array();
  for (const Forward& forward : forwards) {
    json.begin_object()
        .member("target", std::int64_t{forward.target})
        .member("bind", forward.bind)
        .member("port", std::int64_t{forward.port})
        .end_object();
  }
  json.end_array();
}

std::int64_t exit_code_of(const Workspace& workspace) {
  if (workspace.instance.exit_code >= 0) return workspace.instance.exit_code;
  return workspace.entry.record ? workspace.entry.record->exit_code : -1;
}

void add_pairs(JsonText& json, std::string_view name, const KeyValues& pairs) {
  json.key(name).begin_array();
  for (const auto& [key, value] : pairs)
    json.begin_object().member("name", key).member("value", value).end_object();
  json.end_array();
}

void add_time(JsonText& json, std::string_view name, std::int64_t ms) {
  if (ms > 0) json.member(name, ms);
}

void add_optional(JsonText& json, std::string_view name, std::string_view text) {
  if (!text.empty()) json.member(name, text);
}

std::vector<std::string> environment_names(const WorkspaceSpec& spec) {
  std::vector<std::string> names;
  for (const auto& [name, value] : spec.env) names.push_back(name);
  names.insert(names.end(), spec.env_passthrough.begin(), spec.env_passthrough.end());
  return names;
}

void add_wishes(JsonText& json, const WorkspaceSpec& spec) {
  json.member("command", spec.agent_argv).member("environment", environment_names(spec));
  json.key("mounts").begin_array();
  for (const Mount& mount : spec.mounts) {
    json.begin_object()
        .member("host", mount.host)
        .member("target", mount.target)
        .member("read_only", mount.read_only)
        .member("optional", mount.optional)
        .end_object();
  }
  json.end_array().key("ports").begin_array();
  for (const Port& port : spec.ports) {
    json.begin_object().member("target", std::int64_t{port.target}).member("host", std::int64_t{port.host_port});
    add_optional(json, "bind", port.bind);
    json.end_object();
  }
  json.end_array().key("network").begin_object();
  json.member("mode", spec.network.mode == Network::Mode::allow ? "allow" : "deny");
  json.member("hosts", spec.network.hosts).end_object();
  json.key("resources").begin_object();
  if (spec.resources.cpus_milli > 0) json.member("cpus_milli", spec.resources.cpus_milli);
  if (spec.resources.memory_bytes > 0) json.member("memory_bytes", spec.resources.memory_bytes);
  if (spec.resources.processes > 0) json.member("processes", spec.resources.processes);
  json.end_object();
  add_optional(json, "image", spec.image);
  add_optional(json, "build_context", spec.build_context);
  add_optional(json, "build_file", spec.build_file);
}

std::string joined(const std::vector<std::string>& texts, std::string_view separator = ", ") {
  std::string all;
  for (const std::string& text : texts) {
    if (!all.empty()) all += separator;
    all += text;
  }
  return all;
}

std::string network_text(const Network& network) {
  if (network.mode == Network::Mode::allow) return "allow";
  return network.hosts.empty() ? "deny" : "deny, but " + joined(network.hosts);
}

std::string resources_text(const Resources& resources) {
  std::vector<std::string> parts;
  if (resources.cpus_milli > 0) {
    std::string thousandths = std::to_string(1000 + resources.cpus_milli % 1000).substr(1);
    thousandths.erase(thousandths.find_last_not_of('0') + 1);
    parts.push_back(std::to_string(resources.cpus_milli / 1000) + (thousandths.empty() ? "" : "." + thousandths) + " cpus");
  }
  if (resources.memory_bytes > 0) parts.push_back(size_text(resources.memory_bytes));
  if (resources.processes > 0) parts.push_back(std::to_string(resources.processes) + " processes");
  return joined(parts);
}

std::string time_text(std::int64_t then_ms, std::int64_t now_ms) {
  return then_ms > 0 ? time_ago(then_ms, now_ms) : std::string();
}

std::string command_text(const std::vector<std::string>& argv) {
  std::vector<std::string> words;
  for (const std::string& word : argv) words.push_back(shell_word(word));
  return joined(words, " ");
}

/// One line per text under one label.
void add_lines(Fields& fields, const char* label, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) {
    fields.add(label, text);
    label = "";
  }
}

void add_exposure(Fields& fields, const Record& record) {
  const WorkspaceSpec& spec = record.spec;
  std::vector<std::string> mounts, ports;
  for (const Mount& mount : spec.mounts)
    mounts.push_back(mount.host + " at " + mount.target + (mount.read_only ? ", read-only" : ""));
  for (const Port& port : spec.ports)
    ports.push_back(std::to_string(port.target) + (port.host_port != 0 ? " on the host's " + std::to_string(port.host_port) : ""));
  add_lines(fields, "mounts", mounts);
  add_lines(fields, "ports", ports);
  fields.add("network", network_text(spec.network));
  fields.add("resources", resources_text(spec.resources));
  fields.add("environment", joined(environment_names(spec)));
  const bool bare = record.guarantees.isolation == Isolation::none;
  fields.add("isolation", std::string(to_string(record.guarantees.isolation)) + (bare ? ": not isolated" : ""));
  fields.add("enforces", joined(guarantee_names(record.guarantees.enforces)));
  add_lines(fields, "exposure", record.guarantees.exposure);
}

/// As an element of the published list.
std::string row(const Summary& stored, const Observed& seen) {
  JsonText json;
  json.begin_object().key("items").begin_array();
  const std::size_t begin = json.size();
  add_workspace(json, stored, seen);
  return json.take_part().substr(begin);
}

}  // namespace

State shown_state(State state) { return state == State::created ? State::stopped : state; }

std::string_view published_state(State state) {
  switch (state) {
    case State::starting:
    case State::running:
    case State::paused:
    case State::stopping: return "running";
    case State::created:
    case State::stopped:
    case State::gone: return "stopped";
    case State::failed: return "error";
    case State::unknown: break;
  }
  return "unknown";
}

std::vector<std::string> guarantee_names(std::uint64_t enforces) {
  struct Bit {
    std::uint64_t bit;
    const char* name;
  };
  constexpr Bit bits[] = {{KORTEX_GUARANTEE_NETWORK_ALLOW, "network=allow"},
                          {KORTEX_GUARANTEE_NETWORK_DENY, "network=deny"},
                          {KORTEX_GUARANTEE_NETWORK_DENY_HOSTS, "network=deny-hosts"},
                          {KORTEX_GUARANTEE_HOST_LOOPBACK, "host-loopback"},
                          {KORTEX_GUARANTEE_MOUNTS, "mounts"},
                          {KORTEX_GUARANTEE_READ_ONLY_MOUNTS, "read-only-mounts"},
                          {KORTEX_GUARANTEE_PORTS, "ports"},
                          {KORTEX_GUARANTEE_CPUS, "cpus"},
                          {KORTEX_GUARANTEE_MEMORY, "memory"},
                          {KORTEX_GUARANTEE_PROCESSES, "processes"},
                          {KORTEX_GUARANTEE_IMAGE, "image"},
                          {KORTEX_GUARANTEE_BUILD, "build"},
                          {KORTEX_GUARANTEE_TTY, "tty"},
                          {KORTEX_GUARANTEE_DETACH, "detach"}};
  std::vector<std::string> names;
  for (const Bit& each : bits)
    if ((enforces & each.bit) != 0) names.emplace_back(each.name);
  return names;
}

RowPlaces add_workspace(JsonText& json, const Summary& stored, const Observed& seen) {
  RowPlaces places;
  // An unreadable record is a workspace still, with empty texts: a client must be able to see and remove it.
  json.begin_object()
      .member("id", stored.id)
      .member("name", stored.name)
      .member("project", stored.project)
      .member("agent", stored.agent);
  add_optional(json, "model", stored.model);
  json.member("runtime", stored.runtime).key("state");
  places.state = json.size();
  json.value(published_state(seen.state));
  places.after_state = json.size();
  json.key("paths").begin_object();
  json.member("source", stored.source).member("configuration", stored.configuration).end_object();
  json.key("timestamps").begin_object().member("created", stored.created_ms);
  add_time(json, "started", started_at(stored, seen));
  json.end_object();
  add_forwards(json, forwards_of(stored, seen));
  json.end_object();
  return places;
}

PreparedWorkspaces::PreparedWorkspaces(const Listing& listing) {
  const Observed unseen;
  JsonText json;
  json.begin_object().key("items").begin_array();
  m_rows.reserve(listing.size());
  for (std::size_t i = 0; i < listing.size(); ++i) {
    const std::size_t begin = json.size();
    m_rows.push_back({begin, add_workspace(json, listing[i], unseen)});
  }
  m_end = json.size();
  json.end_array().end_object();
  m_text = json.take();
}

/// What the runtime said makes no other difference than the state.
bool PreparedWorkspaces::holds(const Summary& stored, const Observed& seen) {
  return started_at(stored, seen) == stored.started_ms && forwards_of(stored, seen).empty();
}

void PreparedWorkspaces::write(Stream& out, const Workspaces& workspaces) const {
  const std::string_view text = m_text;
  std::string part(text.substr(0, m_rows.empty() ? m_end : m_rows.front().begin));
  part.reserve(at_once + at_once / 4);
  for (std::size_t i = 0; i < m_rows.size(); ++i) {
    const auto& [begin, places] = m_rows[i];
    const std::size_t end = i + 1 < m_rows.size() ? m_rows[i + 1].begin : m_end;
    const Summary& stored = workspaces.stored[i];
    const Observed& seen = workspaces.observed[i];
    if (holds(stored, seen)) {
      part.append(text.substr(begin, places.state - begin)).append("\"").append(published_state(seen.state)).append("\"");
      part.append(text.substr(places.after_state, end - places.after_state));
    } else {
      if (i > 0) part += ',';
      part += row(stored, seen);
    }
    if (part.size() <= at_once) continue;
    out << part;
    part.clear();
  }
  out << part.append(text.substr(m_end));
}

std::string shown_as_json(const Workspace& workspace) {
  const Summary summary = summary_of(workspace.entry);
  JsonText json;
  json.begin_object().member("schema", std::int64_t{1}).member("id", workspace.entry.id);
  json.member("name", workspace.entry.name).member("state", to_string(shown_state(workspace.state)));
  add_optional(json, "status", workspace.instance.status);
  add_optional(json, "problem", workspace.problem);
  if (!workspace.entry.record) {
    json.end_object();
    return json.take();
  }
  const Record& record = *workspace.entry.record;
  const WorkspaceSpec& spec = record.spec;
  if (record.phase != Phase::none) json.member("phase", to_string(record.phase));
  add_optional(json, "last_error", record.last_error);
  if (const std::int64_t code = exit_code_of(workspace); code >= 0) json.member("exit_code", code);
  json.member("project", record.project).member("agent", spec.agent_name);
  add_optional(json, "model", record.model);
  json.key("runtime").begin_object().member("name", record.runtime).member("version", record.runtime_version);
  json.member("abi", std::to_string(record.abi_major) + '.' + std::to_string(record.abi_minor));
  json.member("key", record.key).member("instance_id", record.instance_id);
  if (workspace.instance.pid > 0) json.member("pid", workspace.instance.pid);
  add_pairs(json, "options", spec.options);
  add_pairs(json, "global_options", spec.global_options);
  json.end_object();
  json.key("paths").begin_object().member("source", spec.source_path).member("configuration", spec.config_path);
  json.member("target", spec.target_path).end_object();
  json.key("timestamps").begin_object().member("created", record.created_ms);
  add_time(json, "started", started_at(summary, workspace));
  add_time(json, "stopped", workspace.instance.finished_ms > 0 ? workspace.instance.finished_ms : record.stopped_ms);
  json.end_object();
  add_wishes(json, spec);
  json.key("guarantees").begin_object().member("isolation", to_string(record.guarantees.isolation));
  json.member("enforces", guarantee_names(record.guarantees.enforces)).end_object();
  add_pairs(json, "required", record.require);
  json.member("exposure", record.guarantees.exposure);
  add_forwards(json, forwards_of(summary, workspace));
  const std::string& info = workspace.instance.details_json.empty() ? record.info_json : workspace.instance.details_json;
  if (!info.empty()) json.key("info").document(info);
  json.end_object();
  return json.take();
}

std::string state_text(State state, Phase phase) {
  std::string text(to_string(shown_state(state)));
  if (phase != Phase::none) text += " (" + std::string(to_string(phase)) + ')';
  return text;
}

std::string shown_as_text(const Workspace& workspace, std::int64_t now_ms) {
  const Summary summary = summary_of(workspace.entry);
  Fields fields;
  fields.add("name", workspace.entry.name);
  fields.add("id", workspace.entry.id);
  fields.add("state", state_text(workspace.state, summary.phase));
  fields.add("status", workspace.instance.status);
  fields.add("problem", workspace.problem);
  if (!workspace.entry.record) return fields.render();
  const Record& record = *workspace.entry.record;
  const WorkspaceSpec& spec = record.spec;
  fields.add("last error", record.last_error);
  if (const std::int64_t code = exit_code_of(workspace); code >= 0) fields.add("exit status", std::to_string(code));
  fields.add("sources", spec.source_path + (are_gone(spec.source_path) ? " (gone)" : ""));
  fields.add("appear at", spec.target_path);
  fields.add("configuration", spec.config_path);
  fields.add("project", record.project);
  fields.add("runtime", record.runtime + ' ' + record.runtime_version);
  std::vector<std::string> options;
  for (const auto* pairs : {&spec.options, &spec.global_options})
    for (const auto& [name, value] : *pairs) options.push_back(name + '=' + value);
  add_lines(fields, "options", options);
  fields.add("image", spec.image);
  fields.add("agent", spec.agent_name);
  fields.add("command", command_text(spec.agent_argv));
  fields.add("model", record.model);
  add_exposure(fields, record);
  std::vector<std::string> forwards;
  for (const Forward& forward : forwards_of(summary, workspace))
    forwards.push_back(forward.bind + ':' + std::to_string(forward.port) + " to " + std::to_string(forward.target));
  add_lines(fields, "forwards", forwards);
  fields.add("created", time_text(record.created_ms, now_ms));
  fields.add("started", time_text(started_at(summary, workspace), now_ms));
  fields.add("stopped", time_text(workspace.instance.finished_ms > 0 ? workspace.instance.finished_ms : record.stopped_ms, now_ms));
  return fields.render();
}

}  // namespace kortex::host
