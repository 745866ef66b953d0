/// From words to a command, its options and its arguments. The only user of Boost.Program_options.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace kortex::host {

struct Request {
  enum class What {
    command,
    help,      ///< of `command`, or of `noun`, or of everything
    version
  };
  What what = What::command;
  const Command* command = nullptr;
  std::string_view noun;
  std::map<std::string, std::vector<std::string>, std::less<>> options;  ///< a flag has an empty list
  std::vector<std::string> arguments;
  std::optional<std::vector<std::string>> program;  ///< what follows `--`
};

/// Throws Error(usage).
[[nodiscard]] Request parse(const std::vector<std::string>& args);

/// Whether errors are to be JSON, found out without the words having to make sense.
[[nodiscard]] bool asks_for_json(const std::vector<std::string>& args);
/// The command that the words name; nullptr: none or an unknown one.
[[nodiscard]] const Command* named_command(const std::vector<std::string>& args);

}  // namespace kortex::host
