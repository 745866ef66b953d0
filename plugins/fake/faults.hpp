/// Misbehaviour on demand, so that tests of a host meet everything a runtime can do wrong:
///     --runtime-option fail=start        start fails (with `code`)      hang=start    never returns; unless deaf=true it
///     --runtime-option crash=stop        the process is aborted                       honours cancellation
///     --runtime-option exit=create       calls exit(3)                  noise=start   writes to the host's stdout
///     --runtime-option at=after          once the effect took place     slow=300ms    every change takes that long
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <kortex/call.hpp>
#include <kortex/types.hpp>

namespace fake {

/// The options that inject faults.
void add_fault_options(std::vector<kortex::Option>& options);

class Faults {
 public:
  Faults() = default;
  explicit Faults(kortex::Options options) : m_options(std::move(options)) {}

  /// Whether there is anything to play.
  [[nodiscard]] bool any() const;
  /// What create() has to keep for the operations that are given no options.
  [[nodiscard]] kortex::KeyValues kept() const;

  /// At the start and at the end of every operation: does what was asked for it.
  void before(const kortex::Call& call, const std::string& operation, const std::string& name) const;
  void after(const kortex::Call& call, const std::string& operation, const std::string& name) const;

 private:
  void play(const kortex::Call& call, const std::string& operation, const std::string& name) const;

  kortex::Options m_options;
};

}  // namespace fake
