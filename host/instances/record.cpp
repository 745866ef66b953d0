#include "instances/record.hpp"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <limits>

#include "config/json_document.hpp"
#include "instances/names.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace json = boost::json;

namespace {

constexpr std::int64_t any = std::numeric_limits<std::int64_t>::max();
constexpr Phase phases[] = {Phase::none, Phase::creating, Phase::starting, Phase::stopping, Phase::removing};
constexpr Isolation isolations[] = {Isolation::none, Isolation::process, Isolation::container, Isolation::microvm};

/// A record must be readable again whatever was put into it: a byte that is no UTF-8 becomes '?'.
json::string text(std::string_view raw) {
  json::string result(raw.data(), raw.size());
  if (is_utf8(raw)) return result;
  std::string clean;
  for (std::size_t i = 0; i < raw.size();) {
    std::size_t length = 1;
    while (length < 4 && i + length < raw.size() && !is_utf8(raw.substr(i, length))) ++length;
    if (is_utf8(raw.substr(i, length))) {
      clean += raw.substr(i, length);
      i += length;
    } else {
      clean += '?';
      ++i;
    }
  }
  return json::string(clean.data(), clean.size());
}

/// Adds a member unless it has its default, so that records stay short.
class Members {
 public:
  Members& add(const char* key, std::string_view value) {
    if (!value.empty()) m_object[key] = text(value);
    return *this;
  }
  Members& add(const char* key, std::int64_t value, std::int64_t absent) {
    if (value != absent) m_object[key] = value;
    return *this;
  }
  /// Not add(): a string literal would rather be a bool than a string_view.
  Members& flag(const char* key, bool value) {
    if (value) m_object[key] = true;
    return *this;
  }
  Members& add(const char* key, const KeyValues& pairs) {
    json::array array;
    for (const auto& [name, value] : pairs) array.push_back(json::array{text(name), text(value)});
    return add(key, std::move(array));
  }
  Members& add(const char* key, const std::vector<std::string>& values) {
    json::array array;
    for (const auto& value : values) array.push_back(text(value));
    return add(key, std::move(array));
  }
  Members& add(const char* key, json::array array) {
    if (!array.empty()) m_object[key] = std::move(array);
    return *this;
  }
  Members& add(const char* key, Members members) {
    if (!members.m_object.empty()) m_object[key] = std::move(members.m_object);
    return *this;
  }
  [[nodiscard]] const json::object& object() const { return m_object; }
  [[nodiscard]] json::object take() { return std::move(m_object); }

 private:
  json::object m_object;
};

Members spec_members(const WorkspaceSpec& spec) {
  Members members;
  members.add("argv", spec.agent_argv).add("env", spec.env).add("env_passthrough", spec.env_passthrough);
  json::array mounts;
  for (const auto& mount : spec.mounts)
    mounts.push_back(Members().add("host", mount.host).add("target", mount.target).flag("ro", mount.read_only).flag("optional", mount.optional).take());
  members.add("mounts", std::move(mounts));
  json::array ports;
  for (const auto& port : spec.ports)
    ports.push_back(Members().add("target", port.target, 0).add("host", port.host_port, 0).add("bind", port.bind).take());
  members.add("ports", std::move(ports));
  if (spec.network.mode == Network::Mode::deny) members.add("network", Members().add("mode", "deny").add("hosts", spec.network.hosts));
  members.add("resources", Members()
                               .add("cpus_milli", spec.resources.cpus_milli, 0)
                               .add("memory_bytes", spec.resources.memory_bytes, 0)
                               .add("processes", spec.resources.processes, 0));
  members.add("image", spec.image);
  members.add("build", Members().add("context", spec.build_context).add("file", spec.build_file));
  members.add("uid", spec.uid, -1).add("gid", spec.gid, -1);
  return members;
}

void read(const JsonReader& from, const char* key, std::string& to) {
  if (auto member = from.member(key)) to = member->view();
}
template <typename Integer>
void read(const JsonReader& from, const char* key, Integer& to, std::int64_t min, std::int64_t max) {
  if (auto member = from.member(key)) to = static_cast<Integer>(member->integer(min, max));
}
void read(const JsonReader& from, const char* key, std::vector<std::string>& to) {
  if (auto member = from.member(key)) to = member->strings();
}
void read(const JsonReader& from, const char* key, KeyValues& to) {
  const auto member = from.member(key);
  if (!member) return;
  member->each([&](const JsonReader& pair) {
    auto strings = pair.strings();
    if (strings.size() != 2) pair.fail("must be a pair of strings");
    to.emplace_back(std::move(strings[0]), std::move(strings[1]));
  });
}

/// What is empty is not written, so that a record with it could not be read again.
std::string_view required_text(const JsonReader& from, std::string_view key) {
  const JsonReader found = from.required(key);
  if (found.view().empty()) found.fail("must not be empty");
  return found.view();
}

void read_spec(const JsonReader& from, WorkspaceSpec& spec) {
  read(from, "argv", spec.agent_argv);
  read(from, "env", spec.env);
  read(from, "env_passthrough", spec.env_passthrough);
  if (auto mounts = from.member("mounts"))
    mounts->each([&](const JsonReader& element) {
      Mount mount;
      read(element, "host", mount.host);
      read(element, "target", mount.target);
      if (auto ro = element.member("ro")) mount.read_only = ro->boolean();
      if (auto optional = element.member("optional")) mount.optional = optional->boolean();
      spec.mounts.push_back(std::move(mount));
    });
  if (auto ports = from.member("ports"))
    ports->each([&](const JsonReader& element) {
      Port port;
      read(element, "target", port.target, 0, 65535);
      read(element, "host", port.host_port, 0, 65535);
      read(element, "bind", port.bind);
      spec.ports.push_back(std::move(port));
    });
  if (auto network = from.member("network")) {
    // What is not understood here must not become 'allow'.
    spec.network.mode = Network::Mode::deny;
    const auto mode = network->required("mode");
    if (mode.view() != "deny") mode.fail("unknown network mode");
    read(*network, "hosts", spec.network.hosts);
  }
  if (auto resources = from.member("resources")) {
    read(*resources, "cpus_milli", spec.resources.cpus_milli, 0, any);
    read(*resources, "memory_bytes", spec.resources.memory_bytes, 0, any);
    read(*resources, "processes", spec.resources.processes, 0, any);
  }
  read(from, "image", spec.image);
  if (auto build = from.member("build")) {
    read(*build, "context", spec.build_context);
    read(*build, "file", spec.build_file);
  }
  read(from, "uid", spec.uid, -1, any);
  read(from, "gid", spec.gid, -1, any);
}

}  // namespace

std::string_view to_string(Phase phase) {
  switch (phase) {
    case Phase::none: return "";
    case Phase::creating: return "creating";
    case Phase::starting: return "starting";
    case Phase::stopping: return "stopping";
    case Phase::removing: return "removing";
  }
  return "";
}

Phase phase_from_string(std::string_view given) {
  for (const Phase phase : phases)
    if (to_string(phase) == given) return phase;
  return Phase::none;
}

std::string serialize(const Record& record) {
  Members root;
  root.add("schema", Record::schema, 0).add("id", record.id).add("name", record.name).add("key", record.key);
  if (!record.other_name.empty()) root.add("other_name", record.other_name);
  root.add("project", record.project).add("agent", record.spec.agent_name).add("model", record.model);
  root.add("state", to_string(record.state)).add("phase", to_string(record.phase)).add("last_error", record.last_error);
  root.add("exit_code", record.exit_code, -1);
  root.add("paths", Members()
                        .add("source", record.spec.source_path)
                        .add("configuration", record.spec.config_path)
                        .add("target", record.spec.target_path));
  root.add("timestamps", Members().add("created", record.created_ms, 0).add("started", record.started_ms, 0).add("stopped", record.stopped_ms, 0));
  root.add("runtime", Members()
                          .add("name", record.runtime)
                          .add("version", record.runtime_version)
                          .add("abi_major", record.abi_major, -1)
                          .add("abi_minor", record.abi_minor, 0)
                          .add("instance_id", record.instance_id)
                          .add("options", record.spec.options)
                          .add("global_options", record.spec.global_options)
                          .add("info", record.info_json));
  json::array forwards;
  for (const auto& forward : record.forwards)
    forwards.push_back(Members().add("target", forward.target, 0).add("bind", forward.bind).add("port", forward.port, 0).take());
  root.add("forwards", std::move(forwards));
  root.add("spec", spec_members(record.spec));
  root.add("guarantees", Members()
                             .add("isolation", to_string(record.guarantees.isolation))
                             .add("enforces", static_cast<std::int64_t>(record.guarantees.enforces), 0)
                             .add("exposure", record.guarantees.exposure));
  root.add("require", record.require);

  std::string out = "{";
  bool first = true;
  for (const auto& member : root.object()) {
    out += first ? "\n  \"" : ",\n  \"";
    first = false;
    out.append(member.key().data(), member.key().size());
    out += "\": " + json::serialize(member.value());
  }
  return out + "\n}\n";
}

Record parse_record(std::string_view given, const std::string& file) {
  const JsonDocument document(given, file, ErrorKind::failed, DuplicateKeys::last_wins);
  const JsonReader root = document.root();
  const auto schema = root.required("schema");
  if (schema.integer(1, any) > Record::schema)
    schema.fail("written by a newer kortex-cli (schema " + std::to_string(schema.value().get_int64()) + "; this one knows " +
                    std::to_string(Record::schema) + ")",
                "update kortex-cli");
  Record record;
  const auto id = root.required("id");
  record.id = id.view();
  if (!is_workspace_id(record.id)) id.fail("must be 64 hexadecimal digits");
  record.name = required_text(root, "name");
  record.key = required_text(root, "key");
  read(root, "other_name", record.other_name);
  read(root, "project", record.project);
  read(root, "agent", record.spec.agent_name);
  read(root, "model", record.model);
  if (auto state = root.member("state")) record.state = state_from_string(state->view()).value_or(State::unknown);
  if (auto phase = root.member("phase")) record.phase = phase_from_string(phase->view());
  read(root, "last_error", record.last_error);
  read(root, "exit_code", record.exit_code, -1, 255);
  const auto paths = root.required("paths");
  record.spec.source_path = required_text(paths, "source");
  record.spec.config_path = required_text(paths, "configuration");
  read(paths, "target", record.spec.target_path);
  if (record.spec.target_path.empty()) record.spec.target_path = record.spec.source_path;
  if (auto timestamps = root.member("timestamps")) {
    read(*timestamps, "created", record.created_ms, 0, any);
    read(*timestamps, "started", record.started_ms, 0, any);
    read(*timestamps, "stopped", record.stopped_ms, 0, any);
  }
  const auto runtime = root.required("runtime");
  record.runtime = required_text(runtime, "name");
  read(runtime, "version", record.runtime_version);
  read(runtime, "abi_major", record.abi_major, 0, 65535);
  read(runtime, "abi_minor", record.abi_minor, 0, 65535);
  read(runtime, "instance_id", record.instance_id);
  read(runtime, "options", record.spec.options);
  read(runtime, "global_options", record.spec.global_options);
  read(runtime, "info", record.info_json);
  if (auto forwards = root.member("forwards"))
    forwards->each([&](const JsonReader& element) {
      Forward forward;
      read(element, "target", forward.target, 0, 65535);
      read(element, "bind", forward.bind);
      read(element, "port", forward.port, 0, 65535);
      record.forwards.push_back(std::move(forward));
    });
  if (auto spec = root.member("spec")) read_spec(*spec, record.spec);
  if (auto guarantees = root.member("guarantees")) {
    if (auto isolation = guarantees->member("isolation"))
      for (const Isolation level : isolations)
        if (to_string(level) == isolation->view()) record.guarantees.isolation = level;
    read(*guarantees, "enforces", record.guarantees.enforces, 0, any);
    read(*guarantees, "exposure", record.guarantees.exposure);
  }
  read(root, "require", record.require);
  return record;
}

}  // namespace kortex::host
