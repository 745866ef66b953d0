#include "instances/summary.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex::host;

namespace {

Record full() {
  Record record;
  record.id = std::string(64, 'a');
  record.name = "shop";
  record.key = "kortex-shop-aaaaaaaaaaaa";
  record.project = "proj\xC3\xA9";
  record.model = "m";
  record.runtime = "fake";
  record.instance_id = "i-1";
  record.spec.agent_name = "shell";
  record.spec.source_path = "/src";
  record.spec.config_path = "/src/.kortex";
  record.spec.target_path = "/work";
  record.spec.agent_argv = {"sh", "-c", "say \"\\\n\""};
  record.spec.mounts = {{"/id", "/name", true, true}};
  record.spec.options = {{"name", "an option"}, {"source", "x"}};
  record.guarantees.exposure = {"everything"};
  record.info_json = R"({"name": {"created": 7}})";
  record.phase = Phase::stopping;
  record.created_ms = 1000;
  record.started_ms = 2000;
  record.stopped_ms = 3000;
  return record;
}

/// What is read in passing, or nothing.
struct Read {
  explicit Read(const std::string& text) : ok(read_summary(text, std::string(64, 'a'), Summary(), summary, pool)) {}
  TextPool pool;
  Summary summary;
  bool ok;
};

std::string with(const std::string& from, const std::string& to) {
  std::string text = serialize(full());
  const std::size_t at = text.find(from);
  BOOST_TEST_REQUIRE(at != std::string::npos);
  return text.replace(at, from.size(), to);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(summary)

BOOST_AUTO_TEST_CASE(says_of_a_record_what_the_whole_parser_says) {
  const std::string text = serialize(full());
  Entry entry;
  entry.record = parse_record(text, "f");
  entry.id = entry.record->id;
  entry.name = entry.record->name;
  const Summary whole = summary_of(entry);
  const Read read(text);
  BOOST_TEST_REQUIRE(read.ok);
  const Summary& passing = read.summary;
  BOOST_TEST(passing.readable);
  BOOST_TEST(passing.name == whole.name);
  BOOST_TEST(passing.project == whole.project);
  BOOST_TEST(passing.agent == whole.agent);
  BOOST_TEST(passing.model == whole.model);
  BOOST_TEST(passing.runtime == whole.runtime);
  BOOST_TEST(passing.source == whole.source);
  BOOST_TEST(passing.configuration == whole.configuration);
  BOOST_TEST(passing.key == whole.key);
  BOOST_TEST(passing.instance_id == whole.instance_id);
  BOOST_TEST((passing.phase == Phase::stopping));
  BOOST_TEST(passing.created_ms == 1000);
  BOOST_TEST(passing.started_ms == 2000);
}

BOOST_AUTO_TEST_CASE(every_text_is_followed_by_a_nul) {
  const Read read(serialize(full()));
  for (const std::string_view text : {read.summary.name, read.summary.key, read.summary.instance_id, read.summary.runtime})
    BOOST_TEST(text.data()[text.size()] == '\0');
}

BOOST_AUTO_TEST_CASE(keeps_a_text_that_is_as_in_the_last_one_once) {
  TextPool pool;
  Summary first, same, other;
  Record record = full();
  BOOST_TEST(read_summary(serialize(record), record.id, Summary(), first, pool));
  BOOST_TEST(read_summary(serialize(record), record.id, first, same, pool));
  record.spec.source_path = "/other";
  BOOST_TEST(read_summary(serialize(record), record.id, same, other, pool));
  BOOST_TEST((same.source.data() == first.source.data()));
  BOOST_TEST(other.source == "/other");
  BOOST_TEST(first.source == "/src");
  BOOST_TEST((other.runtime.data() == first.runtime.data()));
}

BOOST_AUTO_TEST_CASE(leaves_to_the_whole_parser_what_is_rare) {
  Record record = full();
  record.forwards = {{80, "127.0.0.1", 8080}};
  BOOST_TEST(!Read(serialize(record)).ok);
  record = full();
  record.spec.global_options = {{"host", "h"}};
  BOOST_TEST(!Read(serialize(record)).ok);
  record = full();
  record.name = "a \"b\"";
  BOOST_TEST(!Read(serialize(record)).ok);
}

BOOST_AUTO_TEST_CASE(leaves_to_the_whole_parser_what_is_broken) {
  const std::string good = serialize(full());
  BOOST_TEST(Read(good).ok);
  for (std::size_t size = 0; size + 2 < good.size(); size += 7) BOOST_TEST(!Read(good.substr(0, size)).ok);
  BOOST_TEST(!Read(good + "x").ok);
  BOOST_TEST(!Read("[]").ok);
  BOOST_TEST(!Read("3").ok);
  BOOST_TEST(!Read(with("\"schema\": 1", "\"schema\": 99")).ok);
  BOOST_TEST(!Read(with("\"schema\": 1", "\"schema\": \"1\"")).ok);
  BOOST_TEST(!Read(with("\"schema\"", "\"skema\"")).ok);
  BOOST_TEST(!Read(with("\"shop\"", "7")).ok);
  BOOST_TEST(!Read(with("\"shop\"", "[\"shop\"]")).ok);
  BOOST_TEST(!Read(with("\"shop\"", "{\"a\":1}")).ok);
  BOOST_TEST(!Read(with("\"shop\"", "null")).ok);
  BOOST_TEST(!Read(with("\"shop\"", "\"sh\\u0000p\"")).ok);
  BOOST_TEST(!Read(with("1000", "-1")).ok);
  BOOST_TEST(!Read(with("1000", "1.5")).ok);
  BOOST_TEST(!Read(with("\"source\":\"/src\",", "")).ok);
  BOOST_TEST(!Read(with(std::string(64, 'a'), std::string(64, 'b'))).ok);
}

BOOST_AUTO_TEST_SUITE_END()
