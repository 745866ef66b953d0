#include "instances/record.hpp"

#include "expect_error.hpp"

namespace {

using namespace kortex::host;
using kortex::test::error_of;

Record full() {
  Record r;
  r.id = std::string(64, 'a');
  r.name = "shop \"日本\"";
  r.key = "kortex-shop-aaaaaaaaaaaa";
  r.project = "https://example.com/shop";
  r.model = "opus";
  r.runtime = "fake";
  r.runtime_version = "1.2.3";
  r.abi_minor = 4;
  r.instance_id = "i-1";
  r.spec.options = {{"a", "1"}, {"a", "2"}};
  r.spec.global_options = {{"socket", "/run/x"}};
  r.spec.source_path = "/src/shop";
  r.spec.config_path = "/src/shop/.kortex";
  r.spec.target_path = "/work";
  r.spec.agent_name = "shell";
  r.spec.agent_argv = {"/bin/sh", "-c", "echo \"$1\"\n"};
  r.spec.env = {{"A", ""}, {"B", "x=y"}};
  r.spec.env_passthrough = {"TOKEN"};
  r.spec.mounts = {{"/a", "/b", true, false}, {"/c", "/d", false, true}};
  r.spec.ports = {{8080, 18080, "0.0.0.0"}, {53, 0, ""}};
  r.spec.network = {Network::Mode::deny, {"a.b"}};
  r.spec.resources = {1500, 1 << 30, 100};
  r.spec.image = "debian:12";
  r.spec.build_context = "/src/shop";
  r.spec.build_file = "/src/shop/Dockerfile";
  r.spec.uid = 0;
  r.spec.gid = 100;
  r.guarantees = {Isolation::container, 1023, {"the host's network"}};
  r.require = {{"isolation", "container"}};
  r.state = State::running;
  r.phase = Phase::stopping;
  r.last_error = "it broke";
  r.exit_code = 0;
  r.forwards = {{8080, "127.0.0.1", 18080}};
  r.info_json = "{\"deep\": [1, 2]}";
  r.created_ms = 1;
  r.started_ms = 2;
  r.stopped_ms = 3;
  return r;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(record)

BOOST_AUTO_TEST_CASE(comes_back_as_it_was_written) {
  const Record r = full();
  const std::string text = serialize(r);
  const Record back = parse_record(text, "f");
  BOOST_TEST(serialize(back) == text);
  BOOST_TEST(text.back() == '\n');
  BOOST_TEST((back.spec.mounts == r.spec.mounts));
  BOOST_TEST((back.spec.ports == r.spec.ports));
  BOOST_TEST((back.spec.network == r.spec.network));
  BOOST_TEST((back.spec.resources == r.spec.resources));
  BOOST_TEST((back.spec.options == r.spec.options));
  BOOST_TEST((back.spec.env == r.spec.env));
  BOOST_TEST((back.spec.agent_argv == r.spec.agent_argv));
  BOOST_TEST((back.forwards == r.forwards));
  BOOST_TEST((back.require == r.require));
  BOOST_TEST(back.name == r.name);
  BOOST_TEST(back.info_json == r.info_json);
  BOOST_TEST(back.exit_code == 0);
  BOOST_TEST((back.state == State::running && back.phase == Phase::stopping));
  BOOST_TEST((back.guarantees.isolation == Isolation::container && back.guarantees.enforces == 1023));
  // The whole spec in one comparison; project is stored with the record.
  WorkspaceSpec spec = back.spec;
  spec.project = r.spec.project;
  BOOST_TEST((spec == r.spec));
}

BOOST_AUTO_TEST_CASE(survives_bytes_that_are_not_utf8) {
  Record r = full();
  r.last_error = "bad \xff\xc3 byte ü";
  BOOST_TEST(parse_record(serialize(r), "f").last_error == "bad ?? byte ü");
}

BOOST_AUTO_TEST_CASE(ignores_what_it_does_not_know_and_defaults_what_is_absent) {
  const std::string id(64, 'b');
  const Record r = parse_record("{\"schema\": 1, \"id\": \"" + id +
                                    "\", \"name\": \"n\", \"key\": \"k\", \"later\": {}, \"phase\": \"dreaming\", \"state\": \"x\","
                                    " \"paths\": {\"source\": \"/s\", \"configuration\": \"/c\"}, \"runtime\": {\"name\": \"fake\"}}",
                                "f");
  BOOST_TEST(r.spec.target_path == "/s");
  BOOST_TEST((r.phase == Phase::none && r.state == State::unknown));
  BOOST_TEST(r.exit_code == -1);
  BOOST_TEST((r.spec.network.mode == Network::Mode::allow));
}

BOOST_AUTO_TEST_CASE(an_unknown_network_mode_never_becomes_allow) {
  std::string text = serialize(full());
  text.replace(text.find("\"deny\""), 6, "\"some\"");
  BOOST_TEST(error_of([&] { (void)parse_record(text, "f"); }).message().find("unknown network mode") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(a_record_of_a_newer_schema_says_so) {
  const Error error = error_of([] { (void)parse_record("{\n  \"schema\": 2\n}", "f"); });
  BOOST_TEST(error.message() == "f:2:13: written by a newer kortex-cli (schema 2; this one knows 1)");
  BOOST_TEST(error.hint() == "update kortex-cli");
  BOOST_TEST(static_cast<int>(error.kind()) == 1);
}

BOOST_AUTO_TEST_CASE(a_broken_record_names_the_place) {
  BOOST_TEST(error_of([] { (void)parse_record("{\"schema\": 1, \"id\": \"x\"}", "f"); }).message() == "f:1:21: must be 64 hexadecimal digits");
  BOOST_TEST(error_of([] { (void)parse_record("", "f"); }).message() == "f:1:1: the text ends too early");
  BOOST_TEST(error_of([] { (void)parse_record("{\"schema\": 1}", "f"); }).message() == "f:1:1: 'id' is missing");
}

BOOST_AUTO_TEST_SUITE_END()
