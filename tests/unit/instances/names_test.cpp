#include "instances/names.hpp"

#include <boost/test/unit_test.hpp>

#include "instances/store.hpp"

using namespace kortex::host;

BOOST_AUTO_TEST_SUITE(names)

BOOST_AUTO_TEST_CASE(says_why_a_name_is_none) {
  BOOST_TEST(check_name("") == "a name must not be empty");
  BOOST_TEST(check_name(std::string(300, 'n')) == "a name has at most 128 bytes; this one has 300");
  BOOST_TEST(check_name("\xff") == "a name must be UTF-8");
  BOOST_TEST(check_name("-x") == "a name must not begin with '-'");
  BOOST_TEST(check_name(".x") == "a name must not begin with '.'");
  BOOST_TEST(check_name(" x") == "a name must not begin or end with a space");
  BOOST_TEST(check_name("x ") == "a name must not begin or end with a space");
  BOOST_TEST(check_name("a/b") == "a name must not contain '/'");
  for (const std::string name : {"a\nb", "a\033[31m", "a\x7f", "a\xC2\x9B" "b", "a\xE2\x80\xAE" "b"})
    BOOST_TEST(check_name(name) == "a name must not contain control characters");
  BOOST_TEST(check_name(std::string(64, 'a')) == "a name must not look like a workspace's id");
}

BOOST_AUTO_TEST_CASE(takes_names_of_all_languages) {
  for (const std::string name : {"a", "mit Leerzeichen und Ümläuten 日本", "🚀", "it's", "a:b\\c"}) BOOST_TEST(check_name(name) == "");
  BOOST_TEST(check_name(std::string(128, 'n')) == "");
}

BOOST_AUTO_TEST_CASE(knows_valid_utf8) {
  for (const std::string text : {"", "a", "ü", "日", "🚀", "\xF4\x8F\xBF\xBF"}) BOOST_TEST(is_utf8(text));
  for (const std::string text : {"\x80", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xF8\x88\x80\x80\x80", "\xE6\x97"})
    BOOST_TEST(!is_utf8(text));
}

BOOST_AUTO_TEST_CASE(makes_a_valid_name_of_any_directory) {
  BOOST_TEST(name_from_path("/src/shop") == "shop");
  BOOST_TEST(name_from_path("/src/shop/") == "shop");
  BOOST_TEST(name_from_path("/") == "workspace");
  BOOST_TEST(name_from_path("/src/.config") == "config");
  BOOST_TEST(name_from_path("/src/--") == "workspace");
  BOOST_TEST(name_from_path("/src/a\nb\xff") == "a_b_");
  const std::string longest = name_from_path("/src/" + std::string(127, 'd') + "üü");
  BOOST_TEST(longest == std::string(127, 'd'));
  BOOST_TEST(check_name(name_from_path("/" + std::string(64, 'a'))) == "");
}

BOOST_AUTO_TEST_CASE(shortens_a_name_for_its_suffix) {
  BOOST_TEST(with_suffix("shop", "-2") == "shop-2");
  BOOST_TEST(with_suffix(std::string(128, 'n'), "-10").size() == 128);
  BOOST_TEST(with_suffix(std::string(125, 'n') + "ü", "-2") == std::string(125, 'n') + "-2");
}

BOOST_AUTO_TEST_CASE(a_key_is_a_label_for_every_backend) {
  const std::string id = "0123456789abcdef" + std::string(48, '0');
  BOOST_TEST(key_for("My Shop! ü", id) == "kortex-my-shop-0123456789ab");
  BOOST_TEST(key_for("日本", id) == "kortex-0123456789ab");
  BOOST_TEST(key_for(std::string(128, 'x'), id).size() <= 63);
}

BOOST_AUTO_TEST_CASE(quotes_what_has_to_be_typed) {
  BOOST_TEST(typeable("shop-1") == "shop-1");
  BOOST_TEST(typeable("my shop") == "'my shop'");
  BOOST_TEST(typeable("it's") == "'it'\\''s'");
  BOOST_TEST(typeable("") == "''");
}

BOOST_AUTO_TEST_SUITE_END()
