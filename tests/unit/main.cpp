#define BOOST_TEST_MODULE kortex
#include <boost/test/unit_test.hpp>
