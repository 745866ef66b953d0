#include "engine/instance_view.hpp"

#include <charconv>
#include <limits>

#include <kortex/json.hpp>

#include "engine/plan.hpp"

namespace kortex::engine {
namespace {

std::uint16_t port_number(std::string_view text) {
  std::uint16_t port = 0;
  std::from_chars(text.data(), text.data() + text.size(), port);
  return port;
}

std::string bind_of(const std::string& address) { return address.empty() ? "0.0.0.0" : address; }

/// Go's zero time is far below zero here, and nothing is as late as the last milliseconds there are.
std::int64_t ms_of(std::int64_t seconds) {
  return seconds > 0 && seconds <= std::numeric_limits<std::int64_t>::max() / 1000 ? seconds * 1000 : 0;
}

KeyValues all_labels(const json::value& labels) {
  KeyValues out;
  if (const json::object* object = labels.if_object())
    for (const auto& [name, value] : *object)
      if (const json::string* text = value.if_string()) out.emplace_back(name, *text);
  return out;
}

std::string label_at(const json::value& labels, const char* name) {
  const json::object* object = labels.if_object();
  const json::value* value = object == nullptr ? nullptr : object->if_contains(name);
  return value != nullptr && value->is_string() ? std::string(value->get_string()) : std::string();
}

std::string without_slash(std::string name) {
  if (!name.empty() && name.front() == '/') name.erase(0, 1);
  return name;
}

std::string details(const std::string& id, const std::string& name, const std::string& image, const std::string& user,
                    const std::string& git) {
  kortex::json::Object out{{"container", id.substr(0, 12)}, {"container_name", name}, {"image", image}};
  if (!user.empty()) out.add("user", user);
  if (!git.empty()) out.add("git_directory", git);
  return out.text();
}

}  // namespace

State state_of(std::string_view word) {
  if (word == "running") return State::running;
  if (word == "created" || word == "configured" || word == "initialized") return State::created;
  if (word == "paused") return State::paused;
  if (word == "restarting") return State::starting;
  if (word == "stopping" || word == "removing") return State::stopping;
  if (word == "exited" || word == "stopped") return State::stopped;
  if (word == "dead") return State::failed;
  return State::unknown;
}

int exit_code_in(std::string_view status) {
  const std::size_t open = status.find('('), close = status.find(')');
  if (status.substr(0, 6) != "Exited" || open == std::string_view::npos || close == std::string_view::npos || close < open) return -1;
  int code = -1;
  std::from_chars(status.data() + open + 1, status.data() + close, code);
  return code;
}

Instance from_inspect(const json::value& container) {
  Instance out;
  out.id = text_at(container, {"Id"});
  out.state = state_of(text_at(container, {"State", "Status"}));
  out.created_ms = time_ms(text_at(container, {"Created"}));
  out.started_ms = time_ms(text_at(container, {"State", "StartedAt"}));
  if (out.state == State::stopped || out.state == State::failed) {
    out.finished_ms = time_ms(text_at(container, {"State", "FinishedAt"}));
    out.exit_code = static_cast<int>(number_at(container, {"State", "ExitCode"}, -1));
    if (flag_at(container, {"State", "OOMKilled"})) out.status = "ended for want of memory";
  } else {
    out.pid = number_at(container, {"State", "Pid"});
  }
  const json::value* ports = find(container, {"NetworkSettings", "Ports"});
  if (out.state == State::running && ports != nullptr && ports->is_object()) {
    for (const auto& [name, bindings] : ports->get_object()) {
      if (!bindings.is_array()) continue;
      for (const json::value& binding : bindings.get_array()) {
        const Forward forward{port_number({name.data(), name.size()}), port_number(text_at(binding, {"HostPort"})),
                              bind_of(text_at(binding, {"HostIp"}))};
        if (forward.port != 0) out.forwards.push_back(forward);
      }
    }
  }
  const json::value* labels = find(container, {"Config", "Labels"});
  const json::value none;
  const json::value& given = labels == nullptr ? none : *labels;
  out.key = label_at(given, label_key);
  out.details_json = details(out.id, without_slash(text_at(container, {"Name"})), text_at(container, {"Config", "Image"}),
                             text_at(container, {"Config", "User"}), label_at(given, label_git));
  return out;
}

Instance from_docker_list(const json::value& entry) {
  Instance out;
  out.id = text_at(entry, {"Id"});
  out.state = state_of(text_at(entry, {"State"}));
  out.status = text_at(entry, {"Status"});
  out.created_ms = ms_of(number_at(entry, {"Created"}));
  if (out.state == State::stopped) out.exit_code = exit_code_in(out.status);
  for (const json::value& port : array_at(entry, {"Ports"}))
    if (const std::uint16_t on_host = port_at(port, {"PublicPort"}); on_host != 0)
      out.forwards.push_back({port_at(port, {"PrivatePort"}), on_host, bind_of(text_at(port, {"IP"}))});
  if (const json::value* labels = find(entry, {"Labels"}); labels != nullptr) {
    out.key = label_at(*labels, label_key);
    out.labels = all_labels(*labels);
  }
  return out;
}

Instance from_libpod_list(const json::value& entry) {
  Instance out;
  out.id = text_at(entry, {"Id"});
  out.state = state_of(text_at(entry, {"State"}));
  out.pid = number_at(entry, {"Pid"});
  out.created_ms = time_ms(text_at(entry, {"Created"}));
  out.started_ms = ms_of(number_at(entry, {"StartedAt"}));
  if (out.state == State::stopped) {
    out.finished_ms = ms_of(number_at(entry, {"ExitedAt"}));
    out.exit_code = static_cast<int>(number_at(entry, {"ExitCode"}, -1));
  }
  if (out.state == State::running)
    for (const json::value& port : array_at(entry, {"Ports"}))
      if (const std::uint16_t on_host = port_at(port, {"host_port"}); on_host != 0)
        out.forwards.push_back({port_at(port, {"container_port"}), on_host, bind_of(text_at(port, {"host_ip"}))});
  if (const json::value* labels = find(entry, {"Labels"}); labels != nullptr) {
    out.key = label_at(*labels, label_key);
    out.labels = all_labels(*labels);
  }
  return out;
}

}  // namespace kortex::engine
