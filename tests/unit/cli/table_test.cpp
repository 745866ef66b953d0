#include "cli/output/table.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex::host;

BOOST_AUTO_TEST_SUITE(table)

BOOST_AUTO_TEST_CASE(aligns_by_width_on_the_screen) {
  Table table({"NAME", "STATE", "X"});
  table.add({"日本", "running", "a"});
  table.add({"ü", "stopped", ""});
  BOOST_TEST(table.render(false) == "NAME  STATE    X\n日本  running  a\nü     stopped\n");
}

BOOST_AUTO_TEST_CASE(is_nothing_without_rows) { BOOST_TEST(Table({"NAME"}).render(false).empty()); }

BOOST_AUTO_TEST_CASE(colours_only_when_told_to_and_without_shifting_columns) {
  Table table({"A", "B"});
  table.add({{"x", Tint::good}, "y"});
  BOOST_TEST(table.render(false) == "A  B\nx  y\n");
  BOOST_TEST(table.render(true) == "A  B\n\033[32mx\033[0m  y\n");
}

BOOST_AUTO_TEST_CASE(lets_no_control_character_through) {
  Table table({"A"});
  table.add({"\033[2Jx\n"});
  BOOST_TEST(table.render(true) == "A\n?[2Jx?\n");
}

BOOST_AUTO_TEST_CASE(aligns_fields_and_leaves_out_empty_ones) {
  Fields fields;
  fields.add("name", "x");
  fields.add("nothing", "");
  fields.add("mounts", "a");
  fields.add("", "b");
  BOOST_TEST(fields.render() == "name:    x\nmounts:  a\n         b\n");
}

BOOST_AUTO_TEST_SUITE_END()
