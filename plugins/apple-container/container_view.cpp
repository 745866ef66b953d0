#include "container_view.hpp"

#include <cmath>

namespace kortex::apple {
namespace {

using engine::array_at;
using engine::find;
using engine::port_at;
using engine::text_at;

constexpr std::int64_t seconds_to_2001 = 978307200, seconds_to_10000 = 253402300800;

[[noreturn]] void not_understood(const Version& version, const std::string& why, const std::string& said) {
  throw Error(KORTEX_E_BACKEND, "cannot understand what container " + version.text() + " says: " + why, "", said);
}

ContainerView::Word word_of(const std::string& text, const Version& version, const json::value& container) {
  if (text == "running") return ContainerView::Word::running;
  if (text == "stopped") return ContainerView::Word::stopped;
  if (text == "stopping") return ContainerView::Word::stopping;
  if (text == "unknown") return ContainerView::Word::unknown;
  not_understood(version, "a container is '" + text + "'", json::serialize(container));
}

std::string without_prefix_length(std::string address) { return address.substr(0, address.find('/')); }

}  // namespace

std::string ContainerView::label(std::string_view name) const {
  for (const auto& [key, value] : labels)
    if (key == name) return value;
  return {};
}

std::int64_t date_ms(const json::value* date) {
  if (date == nullptr) return 0;
  if (date->is_string()) return engine::time_ms({date->get_string().data(), date->get_string().size()});
  if (!date->is_number()) return 0;
  const double seconds = date->to_number<double>() + static_cast<double>(seconds_to_2001);
  return seconds >= 0 && seconds < static_cast<double>(seconds_to_10000) ? std::llround(seconds * 1000) : 0;
}

json::value parsed(const std::string& text, const std::string& what, const Version& version) {
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) not_understood(version, "asked to " + what + ", it printed no JSON", text);
  return value;
}

ContainerView view_of(const json::value& container, const Version& version) {
  const auto refuse = [&](const std::string& why) { not_understood(version, why, json::serialize(container)); };
  const json::value* configuration = find(container, {"configuration"});
  const json::value* status = find(container, {"status"});
  if (configuration == nullptr || !configuration->is_object() || status == nullptr) refuse("a container has no configuration or no status");
  ContainerView out;
  out.id = text_at(*configuration, {"id"});
  if (out.id.empty()) refuse("a container has no id");
  const json::value* networks = nullptr;
  const json::value* started = nullptr;
  if (status->is_string()) {
    out.word = word_of(text_at(container, {"status"}), version, container);
    networks = find(container, {"networks"});
    started = find(container, {"startedDate"});
  } else if (status->is_object() && find(*status, {"state"}) != nullptr) {
    out.word = word_of(text_at(*status, {"state"}), version, container);
    networks = find(*status, {"networks"});
    started = find(*status, {"startedDate"});
  } else {
    refuse("a container's status is neither a word nor has it a state");
  }
  out.started_ms = date_ms(started);
  out.created_ms = date_ms(find(*configuration, {"creationDate"}));
  if (const json::value* labels = find(*configuration, {"labels"}); labels != nullptr && labels->is_object())
    for (const auto& [key, value] : labels->get_object())
      if (value.is_string()) out.labels.emplace_back(std::string(key), std::string(value.get_string()));
  out.image = text_at(*configuration, {"image", "reference"});
  out.architecture = text_at(*configuration, {"platform", "architecture"});
  if (const json::value* environment = find(*configuration, {"initProcess", "environment"})) out.environment = *environment;
  if (networks != nullptr && networks->is_array())
    for (const json::value& network : networks->get_array()) {
      std::string address = text_at(network, {"ipv4Address"});
      if (address.empty()) address = text_at(network, {"address"});
      if (out.address.empty()) out.address = without_prefix_length(address);
    }
  if (out.word == ContainerView::Word::running)
    for (const json::value& port : array_at(*configuration, {"publishedPorts"})) {
      Forward forward;
      forward.target = port_at(port, {"containerPort"});
      forward.port = port_at(port, {"hostPort"});
      forward.bind = text_at(port, {"hostAddress"});
      if (forward.bind.empty()) forward.bind = "0.0.0.0";
      if (forward.target != 0 && forward.port != 0) out.forwards.push_back(forward);
    }
  return out;
}

std::vector<ContainerView> views_of(const std::string& text, const std::string& what, const Version& version) {
  const json::value value = parsed(text, what, version);
  if (!value.is_array()) not_understood(version, "asked to " + what + ", it printed no list", text);
  std::vector<ContainerView> out;
  for (const json::value& container : value.get_array()) out.push_back(view_of(container, version));
  return out;
}

std::string full_image_name(const std::string& name) {
  std::string out = name;
  const std::size_t slash = out.find('/');
  const std::string first = out.substr(0, slash);
  const bool has_registry = slash != std::string::npos && (first.find('.') != std::string::npos || first.find(':') != std::string::npos || first == "localhost");
  if (!has_registry) out = (slash == std::string::npos ? "docker.io/library/" : "docker.io/") + out;
  const std::size_t last = out.rfind('/');
  if (out.find('@') == std::string::npos && out.find(':', last) == std::string::npos) out += ":latest";
  return out;
}

std::vector<std::string> image_names(const std::string& text, const Version& version) {
  const json::value value = parsed(text, "list the images", version);
  if (!value.is_array()) not_understood(version, "asked to list the images, it printed no list", text);
  std::vector<std::string> out;
  for (const json::value& image : value.get_array()) {
    std::string name = text_at(image, {"reference"});
    if (name.empty()) name = text_at(image, {"configuration", "reference"});
    if (name.empty()) name = text_at(image, {"name"});
    if (name.empty()) not_understood(version, "an image has no name", json::serialize(image));
    out.push_back(full_image_name(name));
  }
  return out;
}

}  // namespace kortex::apple
