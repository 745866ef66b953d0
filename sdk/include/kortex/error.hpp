/// The errors a plugin throws. Header-only, C++17.
///
///     throw kortex::Error(KORTEX_E_UNAVAILABLE, "cannot reach podman: no socket in '" + path + "'",
///                         "systemctl --user start podman.socket");
#ifndef KORTEX_ERROR_HPP
#define KORTEX_ERROR_HPP

#include <stdexcept>
#include <string>
#include <utility>

#include <kortex/runtime.h>

namespace kortex {

/// What an operation failed with: the arguments of kortex_call's fail(). Thrown out of any operation of a
/// kortex::Runtime, it reaches the user unchanged.
class Error : public std::runtime_error {
 public:
  /// `status`: KORTEX_E_*. `message`: one line, lower case, no final dot: "<what, to which thing>: <reason>".
  /// `to_do`: what the user can do, best a command to type; empty: none.
  /// `backend`: what the backend said, as it is; empty: nothing.
  Error(kortex_status status, const std::string& message, std::string to_do = {}, std::string backend = {})
      : std::runtime_error(message), code(status), hint(std::move(to_do)), detail(std::move(backend)) {}

  kortex_status code;  ///< KORTEX_E_*, or 1000 and up: the plugin's own
  std::string hint;
  std::string detail;
};

/// The host asked to stop: not an error to explain. Thrown by the functions of kortex::Call.
class Cancelled : public Error {
 public:
  Cancelled() : Error(KORTEX_E_CANCELLED, "cancelled") {}
};

}  // namespace kortex
#endif
