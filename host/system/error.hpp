/// The one error type of the host. An error is data: what kind it is (which is also the exit status),
/// one sentence for the user, at most one thing to type. Only cli/app.cpp turns it into text and status.
#pragma once

#include <exception>
#include <string>
#include <utility>

namespace kortex::host {

/// The value is the documented exit status of kortex-cli.
enum class ErrorKind : int {
  failed = 1,
  usage = 2,
  no_workspace = 3,
  no_runtime = 4,  ///< no such runtime, or it is not usable
  wrong_state = 5,
  busy = 6,        ///< busy or timed out
  refused = 7,     ///< guarantee, permission, invalid configuration
  cancelled = 130,
};

class Error : public std::exception {
 public:
  /// `message`: "<what, to which thing>: <reason>", lower case, no final dot, names in single quotes.
  /// `hint`: one command or sentence, or empty. `detail`: raw text of a backend, or empty.
  Error(ErrorKind kind, std::string message, std::string hint = {}, std::string detail = {})
      : m_kind(kind), m_message(std::move(message)), m_hint(std::move(hint)), m_detail(std::move(detail)) {}

  [[nodiscard]] ErrorKind kind() const noexcept { return m_kind; }
  [[nodiscard]] const std::string& message() const noexcept { return m_message; }
  [[nodiscard]] const std::string& hint() const noexcept { return m_hint; }
  [[nodiscard]] const std::string& detail() const noexcept { return m_detail; }
  [[nodiscard]] const char* what() const noexcept override { return m_message.c_str(); }

 private:
  ErrorKind m_kind;
  std::string m_message;
  std::string m_hint;
  std::string m_detail;
};

/// "Permission denied" with a lower-case first letter, for the reason part of a message.
[[nodiscard]] std::string reason_of(int errno_value);

}  // namespace kortex::host
