/// The live state of many instances of several runtimes: one child for each runtime, all at the same time. A child loads and
/// opens its runtime while its caller still finds out whom to ask about.
#pragma once

#include <kortex/runtime.h>

#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "runtimes/operation.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// `instances` has one entry for each ref, in the refs' order; when `error` is set, those not reported before it are
/// State::unknown.
struct InquiryResult {
  std::vector<Instance> instances;
  std::optional<Error> error;
};

/// Destroying it waits for the children to end, two seconds at most.
class Inquiry {
 public:
  explicit Inquiry(std::chrono::milliseconds timeout) : m_timeout(timeout) {}
  Inquiry(const Inquiry&) = delete;
  Inquiry& operator=(const Inquiry&) = delete;

  /// A child sets to work; call it while no other thread runs. Returns how many there were before.
  std::size_t begin(PluginFile, RuntimeContext, KeyValues global_options);
  [[nodiscard]] std::size_t size() const { return m_asked.size(); }

  /// `refs`: for each begin(), in their order; what nobody is to be asked about is not called. Their texts outlive the call:
  /// there may be ten thousand, not to be copied. `meanwhile` is called when all runtimes have been asked. Once.
  /// Never throws for a plugin.
  [[nodiscard]] std::vector<InquiryResult> finish(std::vector<std::vector<kortex_ref>> refs, const std::function<void()>& meanwhile = {});

 private:
  struct Asked {
    PluginFile file;
    RuntimeContext context;
    KeyValues global_options;
    OperationSpec spec;
  };
  std::chrono::milliseconds m_timeout;
  std::deque<Asked> m_asked;  // where they are they stay: the specs refer to them
  std::vector<std::vector<kortex_ref>> m_refs;
  std::function<void(std::size_t asked, Instance&&)> m_on_instance;
  Operations m_operations;
};

}  // namespace kortex::host
