/// One plugin function, run in a forked child; the parent's side. See runtime.hpp for why.
///
///   parent                                       child
///   report pipe  <-  frames (frames.hpp)         ChildCall
///   noise pipe   <-  what it prints to 1 and 2
///   cancel pipe  ->  readable: cancelled         kortex_call::cancel_fd
///   pidfd            it has ended
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kortex/runtime.h>

#include "runtimes/child_call.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// In the child: the loaded plugin, opened, and what to answer with.
struct OpenPlugin {
  const kortex_plugin& plugin;
  kortex_runtime* runtime;
  ChildCall& child;
  const kortex_call* call;
};

/// How the user's signals and streams are treated.
enum class Streams { none, pipe, terminal };

struct OperationSpec {
  const PluginFile* file = nullptr;
  const RuntimeContext* context = nullptr;
  std::string function;  ///< the plugin function, as messages name it
  std::chrono::milliseconds timeout{0};
  Streams streams = Streams::none;

  // In the child. Called with the table before open(): what to give to it; nullopt: do not open, call `body` with runtime NULL.
  std::function<std::optional<KeyValues>(const kortex_plugin&)> global_options;
  std::function<kortex_status(const OpenPlugin&)> body;

  /// In the parent, once, when the child has been at work for a tenth of a second: a shorter call would only be disturbed.
  /// May be empty. What it throws cancels the call and is rethrown by run_operations().
  std::function<void()> meanwhile;
  // In the parent; may be empty. What they throw cancels the call and is rethrown by run_operations().
  std::function<void(Instance&&)> on_instance;
  std::function<void(int stream, std::string_view)> on_output;
};

struct OperationResult {
  std::optional<Error> error;
  bool not_found = false;  ///< the error is KORTEX_E_NOT_FOUND
  std::string stage;       ///< the plugin function that was called last
  std::string json;        ///< of result(): a checked object, or empty
  std::string value;       ///< of ChildCall::value()

  /// Throws the error, as NotFound where it is that.
  void check() const;
};

/// Runs them at the same time; returns when all have ended. A plugin's failure is in its result.
[[nodiscard]] std::vector<OperationResult> run_operations(const std::vector<OperationSpec>&);

/// "runtime 'x' 1.2.3"
[[nodiscard]] std::string title_of(const PluginFile&);

}  // namespace kortex::host
