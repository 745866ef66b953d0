/// Test plugins, copied where nobody else can write.
#pragma once

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>
#include <string>

#include "runtimes/registry.hpp"
#include "runtimes/runtime.hpp"
#include "sandbox.hpp"

namespace kortex::test {

inline std::string plugin_file_name(const std::string& name) { return "libkortex-runtime-" + name + ".so"; }

inline std::filesystem::path install_plugin(const std::filesystem::path& directory, const std::string& name,
                                            const std::string& as = {}) {
  const std::filesystem::path target = directory / plugin_file_name(as.empty() ? name : as);
  std::filesystem::create_directories(directory);
  std::filesystem::copy_file(std::filesystem::path(TEST_PLUGINS) / plugin_file_name(name), target);
  std::filesystem::permissions(target, std::filesystem::perms(0644));
  return target;
}

/// The runtime that misbehaves, told how.
struct Misbehaving {
  explicit Misbehaving(const std::string& fault, const std::string& plugin = "misbehaving")
      : runtime(host::examine(install_plugin(sandbox.path(), plugin), "test"), context()) {
    BOOST_TEST_REQUIRE(runtime.file().refusal == "");
    workspace.global_options = {{"fault", fault}};
    workspace.agent_argv = {"sh"};
  }
  host::RuntimeContext context() {
    host::RuntimeContext result;
    result.log = [this](int, const std::string& line) {
      logged.push_back(line);
      if (on_log) on_log();
    };
    return result;
  }
  host::Instance create(std::chrono::milliseconds timeout = std::chrono::milliseconds(20000)) {
    return runtime.create(ref, workspace, {}, timeout);
  }

  Sandbox sandbox;
  std::vector<std::string> logged;
  std::function<void()> on_log;
  host::Runtime runtime;
  host::WorkspaceSpec workspace;
  host::InstanceRef ref{"key-1", "", "name", "/"};
};

/// What `function` throws; fails the test when it throws nothing.
template <class Function>
host::Error error_of(Function function) {
  try {
    function();
  } catch (const host::Error& error) {
    return error;
  }
  BOOST_FAIL("no error was thrown");
  throw 0;
}

inline int status_of(const host::Error& error) { return static_cast<int>(error.kind()); }

}  // namespace kortex::test
