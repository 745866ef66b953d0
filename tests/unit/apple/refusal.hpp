/// Asserting a plugin's Error with its code and its words.
#pragma once

#include <boost/test/unit_test.hpp>
#include <string>

#include <kortex/error.hpp>

namespace kortex::test {

template <typename Function>
void expect_error(Function function, kortex_status code, const std::string& message) {
  try {
    function();
  } catch (const kortex::Error& error) {
    BOOST_TEST(error.code == code);
    BOOST_TEST(std::string(error.what()) == message);
    return;
  }
  BOOST_ERROR("no error was thrown: " << message);
}

}  // namespace kortex::test
