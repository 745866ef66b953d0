// A workspace's record, read whole and in passing: lists must say of it what everything else says.
#include "instances/record.hpp"

#include <boost/json.hpp>

#include "instances/summary.hpp"
#include "invariant.hpp"
#include "system/error.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

namespace {

const std::string id(64, 'a');

/// The record without the members that a list neither shows nor looks at.
std::string shown_part(std::string_view text) {
  boost::json::parse_options options;
  options.max_depth = 64;
  boost::json::object root = boost::json::parse({text.data(), text.size()}, {}, options).as_object();
  const auto erase = [](boost::json::object& from, std::initializer_list<const char*> keys) {
    for (const char* key : keys) from.erase(key);
  };
  erase(root, {"state", "last_error", "exit_code", "other_name", "spec", "require"});
  const auto section = [&](const char* name, std::initializer_list<const char*> keys) {
    if (boost::json::value* value = root.if_contains(name); value != nullptr && value->is_object()) erase(value->get_object(), keys);
  };
  section("paths", {"target"});
  section("timestamps", {"stopped"});
  section("runtime", {"version", "abi_major", "abi_minor", "options", "info"});
  section("guarantees", {"enforces", "exposure"});
  return boost::json::serialize(root);
}

void compare(const Record& record, const Summary& passing) {
  Entry entry;
  entry.id = record.id;
  entry.name = record.name;
  entry.record = record;
  const Summary whole = summary_of(entry);
  require(record.id == id, "a summary is that of the workspace asked for");
  for (std::string_view Summary::*text :
       {&Summary::name, &Summary::project, &Summary::agent, &Summary::model, &Summary::runtime, &Summary::source,
        &Summary::configuration, &Summary::isolation, &Summary::key, &Summary::instance_id})
    require(passing.*text == whole.*text, "a summary has the texts of the record");
  for (const std::string_view text : {passing.key, passing.instance_id})
    require(text.data()[text.size()] == '\0', "texts are followed by a NUL");
  require(passing.phase == whole.phase && passing.created_ms == whole.created_ms && passing.started_ms == whole.started_ms,
          "a summary has the phase and the times of the record");
  require(passing.global_options == whole.global_options && record.forwards.empty(), "what is rare is left to the whole parser");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = kortex::fuzz::text_of(data, size);
  TextPool pool;
  Summary passing;
  const bool in_passing = read_summary(text, id, Summary(), passing, pool);
  std::optional<Record> record;
  try {
    record = parse_record(text, "r");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::failed && error.message().compare(0, 2, "r:") == 0, "a complaint says where");
  }
  if (record) {
    const std::string once = serialize(*record);
    require(serialize(parse_record(once, "r")) == once, "a record that is written is the same when it is read");
  }
  if (!in_passing) return 0;
  try {
    if (!record) record = parse_record(shown_part(text), "r");
  } catch (const Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    require(false, "what a list shows as readable is");
  }
  compare(*record, passing);
  return 0;
}
