#include "system/error.hpp"

#include <boost/test/unit_test.hpp>
#include <cerrno>

using namespace kortex::host;

BOOST_AUTO_TEST_SUITE(error)

BOOST_AUTO_TEST_CASE(gives_reasons_that_fit_into_a_sentence) {
  BOOST_TEST(reason_of(EACCES) == "permission denied");
  BOOST_TEST(reason_of(ENOENT) == "no such file or directory");
}

BOOST_AUTO_TEST_CASE(keeps_all_it_was_given) {
  const Error error(ErrorKind::busy, "what: why", "do", "raw");
  BOOST_TEST(error.what() == std::string("what: why"));
  BOOST_TEST(error.hint() == "do");
  BOOST_TEST(error.detail() == "raw");
  BOOST_TEST(static_cast<int>(error.kind()) == 6);
}

BOOST_AUTO_TEST_SUITE_END()
