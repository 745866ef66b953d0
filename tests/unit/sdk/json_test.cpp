#include <kortex/json.hpp>

#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <limits>
#include <string>

using namespace kortex::json;

BOOST_AUTO_TEST_SUITE(json)

BOOST_AUTO_TEST_CASE(writes_objects_and_arrays_in_the_order_given) {
  Object object{{"image", "debian:12"}, {"layers", 3}, {"ports", Array{8080, "udp", true, nullptr}}};
  object.add("more", Object{{"a", 1.5}});
  BOOST_TEST(object.text() == R"({"image":"debian:12","layers":3,"ports":[8080,"udp",true,null],"more":{"a":1.5}})");
  BOOST_TEST(Object().text() == "{}");
  BOOST_TEST(Array().text() == "[]");
}

BOOST_AUTO_TEST_CASE(escapes_what_json_cannot_hold) {
  BOOST_TEST(quote("a\"b\\c\n\t\x01\x7f") == R"("a\"b\\c\n\t\u0001\u007f")");
  BOOST_TEST(quote(std::string_view("\0", 1)) == R"("\u0000")");
}

BOOST_AUTO_TEST_CASE(keeps_utf8_and_replaces_what_is_not) {
  BOOST_TEST(quote("gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80") == "\"gr\xC3\xBC\xC3\x9F \xF0\x9F\x98\x80\"");
  BOOST_TEST(quote("a\xFFz") == "\"a\xEF\xBF\xBDz\"");
  BOOST_TEST(quote("\xC3") == "\"\xEF\xBF\xBD\"");
  BOOST_TEST(quote("\xED\xA0\x80") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");  // a surrogate
  BOOST_TEST(quote("\xC0\xAF") == "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");                  // overlong
}

BOOST_AUTO_TEST_CASE(writes_numbers_exactly) {
  BOOST_TEST(Value(std::numeric_limits<std::int64_t>::min()).text() == "-9223372036854775808");
  BOOST_TEST(Value(std::numeric_limits<std::uint64_t>::max()).text() == "18446744073709551615");
  BOOST_TEST(Value(0.1).text() == "0.1");
  BOOST_TEST(Value(std::numeric_limits<double>::infinity()).text() == "null");
  BOOST_TEST(Value(std::numeric_limits<double>::quiet_NaN()).text() == "null");
}

BOOST_AUTO_TEST_CASE(a_null_pointer_is_null_and_a_flag_is_no_number) {
  const char* none = nullptr;
  BOOST_TEST(Value(none).text() == "null");
  BOOST_TEST(Value(false).text() == "false");
}

BOOST_AUTO_TEST_SUITE_END()
