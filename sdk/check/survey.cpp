#include "survey.hpp"

#include <algorithm>
#include <array>

#include "instance.hpp"
#include "json_reader.hpp"

namespace kortex::check {
namespace {

constexpr std::array<GuaranteeName, 14> names{{{KORTEX_GUARANTEE_NETWORK_ALLOW, "network-allow"},
                                               {KORTEX_GUARANTEE_NETWORK_DENY, "network-deny"},
                                               {KORTEX_GUARANTEE_NETWORK_DENY_HOSTS, "network-deny-hosts"},
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
                                               {KORTEX_GUARANTEE_DETACH, "detach"}}};

void ask_table(const HostPlaces& places, Survey& survey) {
  const Outcome outcome = with_table(places, "table", [](const kortex_plugin& plugin, Recorder& recorder) {
    std::uint32_t offered = 0;
    const auto note = [&](bool there, Need need) { offered |= there ? static_cast<std::uint32_t>(need) : 0; };
    note(KORTEX_HAS(kortex_plugin, &plugin, exec) && plugin.exec != nullptr, need_exec);
    note(KORTEX_HAS(kortex_plugin, &plugin, terminal) && plugin.terminal != nullptr, need_terminal);
    note(KORTEX_HAS(kortex_plugin, &plugin, logs) && plugin.logs != nullptr, need_logs);
    note(KORTEX_HAS(kortex_plugin, &plugin, wait) && plugin.wait != nullptr, need_wait);
    note(KORTEX_HAS(kortex_plugin, &plugin, list) && plugin.list != nullptr, need_list);
    for (const char* text : {plugin.name, plugin.version}) recorder.text(Tag::value, text == nullptr ? "" : text);
    recorder.text(Tag::value, std::to_string(plugin.capabilities));
    recorder.text(Tag::value, std::to_string(offered));
    return KORTEX_OK;
  });
  survey.loads = outcome.ok() && outcome.values.size() == 4;
  if (!survey.loads) {
    survey.reason = outcome.complaints.empty() ? outcome.what_happened() : outcome.complaints.front();
    return;
  }
  survey.name = outcome.values[0];
  survey.version = outcome.values[1];
  survey.capabilities = std::stoull(outcome.values[2]);
  survey.offered = static_cast<std::uint32_t>(std::stoul(outcome.values[3]));
}

void ask_backend(Bench& bench, Survey& survey) {
  OperationSettings settings;
  settings.function = "probe";
  settings.deadline = std::chrono::seconds(20);
  const Outcome probed = bench.perform(settings, [](Child& child) { return child.sealed([&] { return child.plugin.probe(child.runtime, child.call); }); });
  survey.usable = probed.ok();
  if (!survey.usable) {
    survey.reason = probed.failures.empty() ? probed.what_happened() : probed.failures.front().message;
    return;
  }
  if (!probed.results.empty())
    if (const auto json = parse_json(probed.results.front()))
      if (const Json* backend = json->find("backend")) survey.backend = backend->text;
  for (const kortex_network_mode network : {KORTEX_NETWORK_ALLOW, KORTEX_NETWORK_DENY}) {
    Wish wish;
    wish.network = network;
    const Outcome told = bench.instance(wish).guarantees();
    if (!told.ok() || !told.guarantees) continue;
    survey.isolation = told.guarantees->isolation;
    survey.enforces |= told.guarantees->enforces;
  }
}

}  // namespace

std::span<const GuaranteeName> guarantee_names() { return names; }

Survey take_survey(const Arguments& arguments, const std::filesystem::path& shared, const std::filesystem::path& own) {
  Survey survey;
  Bench bench(arguments, survey, shared, own, "kortex-check-survey-");
  ask_table(bench.places(), survey);
  if (survey.loads) ask_backend(bench, survey);
  return survey;
}

std::string why_skipped(const Test& test, const Survey& survey, const Arguments& arguments) {
  if (test.needs == need_nothing) return {};
  if (!survey.loads) return "the plugin does not load: " + survey.reason;
  static constexpr std::pair<Need, const char*> operations[] = {
      {need_exec, "exec"}, {need_terminal, "terminal"}, {need_logs, "logs"}, {need_wait, "wait"}, {need_list, "list"}};
  for (const auto& [need, name] : operations)
    if ((test.needs & need) != 0 && (survey.offered & need) == 0) return std::string("not offered: ") + name;
  if ((test.needs & need_concurrent) != 0 && (survey.capabilities & KORTEX_CAP_CONCURRENT) == 0) return "not claimed: KORTEX_CAP_CONCURRENT";
  if (!survey.usable) return "the backend is not usable: " + survey.reason;
  for (const GuaranteeName& guarantee : names)
    if ((test.guarantee & guarantee.bit) != 0 && (survey.enforces & guarantee.bit) == 0) return std::string("not claimed: ") + guarantee.name;
  if (survey.isolation < test.isolation) return "not claimed: isolation";
  if ((test.needs & need_agent) != 0 && arguments.pretends) return "the runtime runs no agent (--pretend)";
  if ((test.needs & need_image) != 0 && arguments.image.empty()) return "no image is given (--image)";
  return {};
}

}  // namespace kortex::check
