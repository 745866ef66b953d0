/// One plugin function, run in a forked child; the parent's side. See runtime.hpp for why.
///
///   parent                                       child
///   report pipe  <-  frames (frames.hpp)         ChildCall
///   noise pipe   <-  what it prints to 1 and 2
///   cancel pipe  ->  readable: cancelled         kortex_call::cancel_fd
///   answer       ->  to a question frame         ChildCall::ask()
///   pidfd            it has ended
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kortex/runtime.h>

#include "runtimes/answer.hpp"
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

  /// In the parent: the answer to what `body` asks with ChildCall::ask(); `json` is what result() has got by then. Empty: nothing
  /// is asked. What it throws cancels the call and is rethrown by run_operations(); the time it takes is not the plugin's.
  std::function<Answer(std::string_view question, const std::string& json)> answer;
  /// In the parent, once, when the child has been at work for a tenth of a second (since it was answered, where it asks): a
  /// shorter call would only be disturbed. May be empty. What it throws cancels the call and is rethrown by run_operations().
  std::function<void()> meanwhile;
  /// The result counts as soon as the work is done: what is left is waited for when Operations is destroyed.
  bool ends_later = false;
  // In the parent; may be empty. What they throw cancels the call and is rethrown by run_operations().
  std::function<void(Instance&&)> on_instance;
  std::function<void(int stream, std::string_view)> on_output;
};

struct OperationResult {
  std::optional<Error> error;
  bool not_found = false;  ///< the error is KORTEX_E_NOT_FOUND
  std::string stage;       ///< the plugin function that was called last, but for close()
  std::string json;        ///< of result(): a checked object, or empty
  std::string value;       ///< of ChildCall::value()

  /// Throws the error, as NotFound where it is that.
  void check() const;
};

/// Operations at work at the same time. A plugin's failure is in its result. Destroying it ends what has not ended.
class Operations {
 public:
  Operations();
  Operations(const Operations&) = delete;
  Operations& operator=(const Operations&) = delete;
  ~Operations();

  /// Its child sets to work at once; the parent only takes notice in finish(). The spec outlives this.
  void start(const OperationSpec&);
  /// Returns when all have ended, or have done their work where that is enough. `once_answered`: called when all that ask have their answer or have ended.
  [[nodiscard]] std::vector<OperationResult> finish(std::function<void()> once_answered = {});

 private:
  struct State;
  std::unique_ptr<State> m_state;
};

/// start() for each, and finish().
[[nodiscard]] std::vector<OperationResult> run_operations(const std::vector<OperationSpec>&);

/// "runtime 'x' 1.2.3"
[[nodiscard]] std::string title_of(const PluginFile&);

}  // namespace kortex::host
