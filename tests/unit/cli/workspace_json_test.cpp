#include "cli/output/workspace.hpp"

#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>

using namespace kortex::host;

namespace {

Workspace sample() {
  Workspace workspace;
  Record record;
  record.id = std::string(64, 'a');
  record.name = "api";
  record.project = "p";
  record.runtime = "fake";
  record.spec.agent_name = "shell";
  record.spec.source_path = "/src";
  record.spec.config_path = "/src/.kortex";
  record.created_ms = 1000;
  workspace.entry.id = record.id;
  workspace.entry.name = record.name;
  workspace.entry.record = record;
  workspace.state = State::stopped;
  return workspace;
}

std::string published(const Workspace& workspace) {
  JsonText json(JsonText::Style::one_line);
  add_workspace(json, summary_of(workspace.entry), workspace);
  return json.take();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(workspace_json)

BOOST_AUTO_TEST_CASE(publishes_just_what_the_contract_names) {
  BOOST_TEST(published(sample()) ==
             "{\"id\":\"" + std::string(64, 'a') + "\",\"name\":\"api\",\"project\":\"p\",\"agent\":\"shell\",\"runtime\":\"fake\","
             "\"state\":\"stopped\",\"paths\":{\"source\":\"/src\",\"configuration\":\"/src/.kortex\"},"
             "\"timestamps\":{\"created\":1000},\"forwards\":[]}\n");
}

BOOST_AUTO_TEST_CASE(adds_model_start_and_forwards_when_there_are_some) {
  Workspace workspace = sample();
  workspace.entry.record->model = "m";
  workspace.state = State::running;
  workspace.instance.started_ms = 2000;
  workspace.instance.forwards = {{8080, "127.0.0.1", 18080}};
  const boost::json::value json = boost::json::parse(published(workspace));
  BOOST_TEST(json.at("model").as_string() == "m");
  BOOST_TEST(json.at("timestamps").at("started").as_int64() == 2000);
  BOOST_TEST(json.at("forwards").at(0).at("port").as_int64() == 18080);
}

BOOST_AUTO_TEST_CASE(maps_every_state_to_one_that_clients_know) {
  BOOST_TEST(published_state(State::paused) == "running");
  BOOST_TEST(published_state(State::starting) == "running");
  BOOST_TEST(published_state(State::created) == "stopped");
  BOOST_TEST(published_state(State::gone) == "stopped");
  BOOST_TEST(published_state(State::failed) == "error");
  BOOST_TEST(published_state(State::unknown) == "unknown");
}

BOOST_AUTO_TEST_CASE(publishes_a_workspace_whose_record_is_broken) {
  Workspace workspace;
  workspace.entry.id = "b";
  workspace.entry.name = "broken";
  const boost::json::value json = boost::json::parse(published(workspace));
  BOOST_TEST(json.at("name").as_string() == "broken");
  BOOST_TEST(json.at("state").as_string() == "unknown");
  BOOST_TEST(json.at("timestamps").at("created").as_int64() == 0);
}

BOOST_AUTO_TEST_CASE(shows_more_in_a_document_of_its_own) {
  Workspace workspace = sample();
  workspace.entry.record->spec.network.mode = Network::Mode::deny;
  workspace.entry.record->phase = Phase::creating;
  workspace.entry.record->last_error = "no space";
  const boost::json::value json = boost::json::parse(shown_as_json(workspace));
  BOOST_TEST(json.at("schema").as_int64() == 1);
  BOOST_TEST(json.at("network").at("mode").as_string() == "deny");
  BOOST_TEST(json.at("phase").as_string() == "creating");
  BOOST_TEST(json.at("last_error").as_string() == "no space");
}

BOOST_AUTO_TEST_SUITE_END()
