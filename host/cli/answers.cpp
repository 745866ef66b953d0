#include "cli/answers.hpp"

#include "cli/output/json.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {

void answer_with(Invocation& invocation, const std::string& id, const std::string& name) {
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("id", id).end_object();
    invocation.out() << json.take();
  } else {
    invocation.out() << printable(name.empty() ? id : name) << "\n";
  }
}

void warn_if_not_isolated(Invocation& invocation, const Record& record, const std::string& what) {
  if (record.guarantees.isolation != Isolation::none) return;
  invocation.reporter().warning("workspace " + in_quotes(record.name) + " is not isolated: " + what + " all rights of your user");
}

}  // namespace kortex::host
