/// The command line.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace kortex::check {

struct Arguments {
  std::string plugin;                     ///< resolved
  std::vector<std::pair<std::string, std::string>> options;
  std::string image;                      ///< for runtimes that have images
  std::string session_program;            ///< empty: there is none
  std::string delete_command;             ///< makes an instance vanish behind the runtime's back
  std::vector<std::string> only;          ///< beginnings or parts of test names; empty: all
  std::vector<std::string> skip;
  std::string junit;                      ///< a file to write
  std::string record;                     ///< another: what was run for the plugin
  std::chrono::seconds timeout{60};       ///< of one test
  int jobs = 1;
  bool pretends = false;                  ///< the runtime runs no agent
  bool list = false;
  bool keep = false;                      ///< directories, for a look afterwards
};

/// Nullopt: all was said (help, version, or what is wrong), and the program ends with `status`.
[[nodiscard]] std::optional<Arguments> parse_arguments(int argc, char** argv, int& status);

}  // namespace kortex::check
