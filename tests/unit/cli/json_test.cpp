#include "cli/output/json.hpp"

#include <boost/json.hpp>
#include <boost/test/unit_test.hpp>

using namespace kortex::host;

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(indents_by_two) {
  JsonText json;
  json.begin_object().member("id", "x").key("items").begin_array().end_array().key("o").begin_object();
  json.member("n", std::int64_t{-1}).member("t", true).end_object().end_object();
  BOOST_TEST(json.take() == "{\n  \"id\": \"x\",\n  \"items\": [],\n  \"o\": {\n    \"n\": -1,\n    \"t\": true\n  }\n}\n");
}

BOOST_AUTO_TEST_CASE(writes_one_line_where_lines_are_events) {
  JsonText json(JsonText::Style::one_line);
  json.begin_object().member("a", "b\nc").key("d").null().end_object();
  BOOST_TEST(json.take() == "{\"a\":\"b\\nc\",\"d\":null}\n");
}

BOOST_AUTO_TEST_CASE(is_valid_json_whatever_the_bytes) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte += static_cast<char>(i);
  JsonText json;
  json.begin_object().member("text", every_byte).end_object();
  const std::string text = json.take();
  boost::json::error_code error;
  const boost::json::value parsed = boost::json::parse(text, error);
  BOOST_TEST(!error);
  BOOST_TEST(parsed.at("text").as_string().size() == 128 + 128 * 3);
}

BOOST_AUTO_TEST_CASE(puts_a_plugins_document_into_words) {
  BOOST_TEST(json_in_words(R"({"rootless":true,"backend":"podman 4.3.1","image":{"size":12,"tags":["a","b"]},"socket":null})", "backend") ==
             "podman 4.3.1, rootless yes, image.size 12, image.tags a b, socket unknown");
  BOOST_TEST(json_in_words("{}", "backend") == "");
  BOOST_TEST(json_in_words("", "backend") == "");
  BOOST_TEST(json_in_words("{broken", "backend") == "{broken");
}

BOOST_AUTO_TEST_CASE(embeds_other_documents_and_nothing_else) {
  JsonText json(JsonText::Style::one_line);
  json.begin_array().document("{\"a\":[1.5,null,18446744073709551615]}").document("{broken").document("2.5").end_array();
  BOOST_TEST(json.take() == "[{\"a\":[1.5E0,null,18446744073709551615]},null,2.5E0]\n");
}

BOOST_AUTO_TEST_SUITE_END()
