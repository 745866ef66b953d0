#include <boost/test/unit_test.hpp>

#include "lz4.hpp"

using kortex::microvm::unpack_lz4_legacy;

namespace {

std::string stream(const std::string& block) {
  std::string out("\x02\x21\x4c\x18", 4);
  for (unsigned shift = 0; shift < 32; shift += 8) out += static_cast<char>(block.size() >> shift & 0xff);
  return out + block;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(lz4)

BOOST_AUTO_TEST_CASE(unpacks_literals) { BOOST_TEST(unpack_lz4_legacy(stream("\x50hello")) == "hello"); }

BOOST_AUTO_TEST_CASE(unpacks_a_repetition_that_overlaps_itself) {
  // "ab", then eight bytes from two back, then "!" at the end
  BOOST_TEST(unpack_lz4_legacy(stream(std::string("\x24" "ab\x02\x00\x10!", 7))) == "ababababab!");
}

BOOST_AUTO_TEST_CASE(unpacks_lengths_that_go_on) {
  const std::string text(15 + 255 + 3, 'x');
  BOOST_TEST(unpack_lz4_legacy(stream("\xf0\xff\x03" + text)) == text);
}

BOOST_AUTO_TEST_CASE(refuses_what_is_broken) {
  BOOST_TEST(unpack_lz4_legacy("") == "");
  BOOST_TEST(unpack_lz4_legacy("\x1f\x8b") == "");
  BOOST_TEST(unpack_lz4_legacy(stream("\x50hel")) == "");                              // literals beyond the end
  BOOST_TEST(unpack_lz4_legacy(stream(std::string("\x14" "a\x09\x00", 4))) == "");      // from before the beginning
  BOOST_TEST(unpack_lz4_legacy(stream(std::string("\x14" "a\x00\x00", 4))) == "");      // from nowhere
  BOOST_TEST(unpack_lz4_legacy(stream("\xf0\xff")) == "");                             // a length without its end
}

BOOST_AUTO_TEST_SUITE_END()
