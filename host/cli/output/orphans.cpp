#include "cli/output/orphans.hpp"

#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/output/workspace.hpp"

namespace kortex::host {

std::string orphans_as_table(const std::vector<Orphan>& orphans, std::int64_t now_ms, bool colours) {
  Table table({"INSTANCE", "RUNTIME", "STATE", "CREATED"});
  for (const Orphan& orphan : orphans) {
    const Instance& instance = orphan.instance;
    table.add({instance.key, orphan.file.name, {state_text(instance.state, Phase::none), Tint::bad},
               instance.created_ms > 0 ? time_ago(instance.created_ms, now_ms) : std::string()});
  }
  return table.render(colours);
}

std::string orphans_as_json(const Orphans& orphans, const Removals* removals) {
  JsonText json;
  json.begin_object().member("schema", std::int64_t{1}).key("orphans").begin_array();
  for (std::size_t i = 0; i < orphans.found.size(); ++i) {
    const Instance& instance = orphans.found[i].instance;
    json.begin_object().member("key", instance.key).member("id", instance.id).member("runtime", orphans.found[i].file.name);
    json.member("state", to_string(shown_state(instance.state))).member("created", instance.created_ms);
    if (removals != nullptr) {
      const bool tried = i < removals->size();
      json.member("removed", tried && !(*removals)[i]);
      if (tried && (*removals)[i]) json.member("error", (*removals)[i]->message());
    }
    json.end_object();
  }
  json.end_array().member("problems", orphans.problems).end_object();
  return json.take();
}

}  // namespace kortex::host
