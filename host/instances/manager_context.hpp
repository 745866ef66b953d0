#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>

#include "runtimes/runtime.hpp"

namespace kortex::host {

/// The command's surroundings, injected.
struct ManagerContext {
  std::string cwd, home;
  std::function<std::optional<std::string>(const std::string&)> getenv;
  std::function<RuntimeContext(const std::string& runtime_name)> runtime_context;  ///< progress and log included
  std::function<void(const std::string&)> notice;   ///< one line for the user on stderr ("waiting for …")
  std::function<void(const std::string&)> warning;  ///< "warning:" on stderr
  std::chrono::milliseconds timeout{0};             ///< --timeout; zero: the defaults per operation
};

}  // namespace kortex::host
