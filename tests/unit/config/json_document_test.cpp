#include "config/json_document.hpp"

#include "expect_error.hpp"

namespace {

using namespace kortex::host;
using kortex::test::error_of;

std::string complaint(const std::string& text, const std::function<void(const JsonReader&)>& read = {}) {
  return error_of([&] {
           const JsonDocument document(text, "f", ErrorKind::refused);
           if (read) read(document.root());
         }).message();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(json_document)

BOOST_AUTO_TEST_CASE(tells_line_and_column_of_a_syntax_error) {
  BOOST_TEST(complaint("{\"a\": [80,]}") == "f:1:11: unexpected ']'");
  BOOST_TEST(complaint("{\n  \"a\": [80\n}") == "f:3:1: unexpected '}'");
  BOOST_TEST(complaint("{\"ü\": 1, x}") == "f:1:10: unexpected 'x'");
  BOOST_TEST(complaint("{\"a\": 'b'}") == "f:1:7: unexpected '''");
  BOOST_TEST(complaint("{} {}") == "f:1:4: more text after the end of the document");
}

BOOST_AUTO_TEST_CASE(tells_that_the_text_ends_too_early) {
  for (const std::string text : {"", " ", "{", "{\"a\": [1", "\"x"}) BOOST_TEST(complaint(text).find("the text ends too early") != std::string::npos, text);
}

BOOST_AUTO_TEST_CASE(refuses_what_is_too_deep_or_too_large) {
  BOOST_TEST(complaint(std::string(33, '[') + std::string(33, ']')).find(": nested too deeply") != std::string::npos);
  BOOST_TEST(complaint(std::string(1024 * 1024 + 1, ' ')) == "f: larger than 1 MiB");
}

BOOST_AUTO_TEST_CASE(refuses_duplicate_keys_wherever_they_are) {
  BOOST_TEST(complaint("{\"a\": 1,\n \"a\": 2}") == "f:2:2: duplicate key 'a'");
  BOOST_TEST(complaint("{\"a\": [{\"b\": {}, \"\\u0062\": 2}]}") == "f:1:18: duplicate key 'b'");
  BOOST_TEST(complaint("{\"a\": {\"x\": \"}\\\"\"}, \"b\": {\"x\": 1}, \"a\": 0}") == "f:1:36: duplicate key 'a'");
}

BOOST_AUTO_TEST_CASE(skips_a_byte_order_mark) {
  const JsonDocument document("\xEF\xBB\xBF{\"a\": 1}", "f", ErrorKind::refused);
  BOOST_TEST(document.root().required("a").integer(0, 9) == 1);
  BOOST_TEST(complaint("\xEF\xBB\xBF{\"a\": x}") == "f:1:7: unexpected 'x'");
}

BOOST_AUTO_TEST_CASE(points_at_a_value_deep_inside) {
  const std::string text = "{\n \"x\": [\"]}\", {\"y\": {}}],\n \"a\": [1, [2, true],\n   {\"b\": \"no\"}]}";
  BOOST_TEST(complaint(text, [](const JsonReader& root) {
               const auto a = root.required("a");
               a.each([](const JsonReader& element) {
                 if (element.value().is_object()) (void)element.required("b").boolean();
               });
             }) == "f:4:10: must be true or false");
}

BOOST_AUTO_TEST_CASE(finds_a_place_again_in_a_text_that_was_read) {
  const std::string text = "{\"a\": [1, {\"b\":\n  true}]}";
  BOOST_TEST(place_in_json(text, "f", {"a", std::size_t{1}, "b"}) == "f:2:3");
  BOOST_TEST(place_in_json(text, "f", {"a", std::size_t{1}, "b"}, JsonPlace::key) == "f:1:12");
  BOOST_TEST(place_in_json(text, "f", {"a", std::size_t{2}}) == "f:1:7");
  BOOST_TEST(place_in_json(text, "f", {"c"}) == "f:1:1");
  BOOST_TEST(place_in_json("[]", "f", {std::size_t{0}, "x"}) == "f:1:1");
}

BOOST_AUTO_TEST_CASE(points_at_an_unknown_key_and_suggests_a_known_one) {
  const std::string text = "{\"ports\": [],\n  \"mount\": []}";
  const Error error = error_of([&] { JsonDocument(text, "f", ErrorKind::refused).root().known({"ports", "mounts"}); });
  BOOST_TEST(error.message() == "f:2:3: unknown key 'mount'");
  BOOST_TEST(error.hint() == "did you mean 'mounts'?");
  BOOST_TEST(static_cast<int>(error.kind()) == 7);
}

BOOST_AUTO_TEST_CASE(refuses_values_out_of_range_and_of_other_types) {
  const auto integer = [](const std::string& text) {
    return complaint(text, [](const JsonReader& root) { (void)root.required("a").integer(1, 65535); });
  };
  BOOST_TEST(integer("{\"a\": 0}") == "f:1:7: must be between 1 and 65535");
  BOOST_TEST(integer("{\"a\": 18446744073709551615}") == "f:1:7: must be between 1 and 65535");
  BOOST_TEST(integer("{\"a\": 1.5}") == "f:1:7: must be an integer");
  BOOST_TEST(integer("{\"a\": \"1\"}") == "f:1:7: must be an integer");
  BOOST_TEST(integer("{\"b\": 1}") == "f:1:1: 'a' is missing");
  BOOST_TEST(integer("[]") == "f:1:1: must be an object");
  BOOST_TEST(complaint("{\"a\": \"x\\u0000y\"}", [](const JsonReader& root) { (void)root.required("a").string(); }) ==
             "f:1:7: must not contain a NUL character");
}

BOOST_AUTO_TEST_SUITE_END()
