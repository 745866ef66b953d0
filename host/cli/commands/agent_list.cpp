#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  const std::vector<Agent> agents = invocation.agents().list();
  for (const Agent& agent : agents)
    if (!agent.error.empty()) invocation.reporter().warning(agent.error);
  if (invocation.json()) {
    JsonText json;
    json.begin_object().key("items").begin_array();
    for (const Agent& agent : agents) {
      if (!agent.error.empty()) continue;
      json.begin_object().member("name", agent.name).member("description", agent.description);
      json.member("command", agent.command).end_object();
    }
    json.end_array().end_object();
    invocation.out() << json.take();
    return 0;
  }
  Table table({"NAME", "DESCRIPTION"});
  for (const Agent& agent : agents)
    if (agent.error.empty()) table.add({agent.name, agent.description});
  invocation.out() << table.render(invocation.colours());
  return 0;
}

}  // namespace

extern const Command agent_list_command;
constinit const Command agent_list_command = {
    .noun = "agent",
    .verb = "list",
    .alias = "ls",
    .summary = "show the agents that 'init --agent' takes",
    .description = "A file agents/NAME.json in the storage directory adds an agent, or replaces one that was installed.",
    .run = run,
};

}  // namespace kortex::host
