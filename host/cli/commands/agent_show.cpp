#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

std::string command_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + shell_word(word);
  return text;
}

std::string as_text(const Agent& agent) {
  Fields fields;
  fields.add("name", agent.name);
  fields.add("description", agent.description);
  fields.add("file", agent.file.string());
  fields.add("command", command_text(agent.command));
  fields.add("with a model", command_text(agent.model_arguments));
  std::string label = "environment";
  for (const EnvironmentVariable& variable : agent.environment) {
    fields.add(label, variable.value ? variable.name + '=' + *variable.value : variable.name + " (yours, when set)");
    label.clear();
  }
  label = "mounts";
  for (const Mount& mount : agent.mounts) {
    fields.add(label, mount.host + " at " + mount.target + (mount.read_only ? ", read-only" : "") +
                          (mount.optional ? ", when it exists" : ""));
    label.clear();
  }
  label = "ports";
  for (const Port& port : agent.ports) {
    fields.add(label, std::to_string(port.target));
    label.clear();
  }
  return fields.render();
}

std::string as_json(const Agent& agent) {
  JsonText json;
  json.begin_object().member("schema", std::int64_t{1}).member("name", agent.name);
  json.member("description", agent.description).member("file", agent.file.string()).member("command", agent.command);
  json.member("model_arguments", agent.model_arguments).key("environment").begin_array();
  for (const EnvironmentVariable& variable : agent.environment) {
    json.begin_object().member("name", variable.name);
    if (variable.value) json.member("value", *variable.value);
    json.end_object();
  }
  json.end_array().key("mounts").begin_array();
  for (const Mount& mount : agent.mounts) {
    json.begin_object().member("host", mount.host).member("target", mount.target);
    json.member("read_only", mount.read_only).member("optional", mount.optional).end_object();
  }
  json.end_array().key("ports").begin_array();
  for (const Port& port : agent.ports) json.value(std::int64_t{port.target});
  json.end_array().end_object();
  return json.take();
}

int run(Invocation& invocation) {
  const Agent agent = invocation.agents().find(invocation.argument(0));
  invocation.out() << (invocation.json() ? as_json(agent) : as_text(agent));
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "AGENT", .help = "its name", .kind = Kind::agent},
};
constexpr Example examples[] = {{"kortex-cli agent show claude", ""}};

}  // namespace

extern const Command agent_show_command;
constinit const Command agent_show_command = {
    .noun = "agent",
    .verb = "show",
    .summary = "show what an agent runs and what it is given",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
