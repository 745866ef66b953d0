/// Asserting an Error with all of its parts.
#pragma once

#include <boost/test/unit_test.hpp>
#include <optional>
#include <string>

#include "system/error.hpp"

namespace kortex::test {

/// What `function` throws; fails the test when it throws nothing.
template <typename Function>
host::Error error_of(Function function) {
  try {
    function();
  } catch (const host::Error& error) {
    return error;
  }
  BOOST_ERROR("no error was thrown");
  return host::Error(host::ErrorKind::failed, "(no error was thrown)");
}

}  // namespace kortex::test
