/// An operation's child: `kortex_call` and `kortex_host` for the plugin, answered by frames to the parent.
#pragma once

#include <kortex/runtime.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "runtimes/frames.hpp"
#include "runtimes/process_runner.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// Memory that parent and child share: frames of instances wait here to be written many at a time, and what
/// the child did not come to write before it was killed is still read.
struct SharedBuffer {
  // Small, so that the parent takes the first of many thousands while the child asks for the rest.
  static constexpr std::size_t capacity = 16 * 1024;
  std::atomic<std::uint32_t> used{0};
  char bytes[capacity];
};

struct ChildCallInputs {
  int report_fd = -1;
  SharedBuffer* shared = nullptr;
  const RuntimeContext* context = nullptr;
  std::int64_t deadline_ms = -1;
  int cancel_fd = -1, resize_fd = -1, signal_fd = -1;
  int answer_fd = -1;
  int terminal_in = -1, terminal_out = -1, terminal_err = -1;
};

class ChildCall {
 public:
  explicit ChildCall(const ChildCallInputs& inputs);
  ChildCall(const ChildCall&) = delete;
  ChildCall& operator=(const ChildCall&) = delete;
  ~ChildCall();

  [[nodiscard]] const kortex_call* call() const;
  [[nodiscard]] const kortex_host* host() const;

  /// Tells which plugin function is called next, so that the parent can name it should it crash. `timeout`: what it may
  /// take from now on; zero: what is left of the time already given.
  void stage(std::string_view function, std::chrono::milliseconds timeout = {});
  /// The backend's id in the last instance that the plugin reported; "" when that had none.
  [[nodiscard]] const std::string& last_instance_id() const;
  void value(std::string_view bytes);
  /// Waits for what the parent answers (OperationSpec::answer); that time is not the plugin's. nullopt: the call is cancelled.
  [[nodiscard]] std::optional<std::string> ask(std::string_view question);
  void error(const Error&);
  void threw(std::string_view what);
  void done(kortex_status);
  [[nodiscard]] int terminal_in() const;
  [[nodiscard]] int terminal_out() const;
  [[nodiscard]] int terminal_err() const;

  struct State;  ///< for the C functions of the tables

 private:
  std::unique_ptr<State> m_state;
};

/// The payload of Frame::instance, made fit: see Instance. False: not a payload.
[[nodiscard]] bool read_instance(std::string_view payload, Instance& instance, bool& details_dropped);

}  // namespace kortex::host
