#include "runtimes/results.hpp"

#include <algorithm>
#include <array>
#include <boost/json.hpp>
#include <utility>

#include "runtimes/text.hpp"

namespace kortex::host {
namespace {

constexpr std::size_t max_exposures = 64;
constexpr std::size_t max_exposure = 1024;

constexpr std::array<std::pair<State, std::string_view>, 9> state_names{{{State::unknown, "unknown"},
                                                                        {State::created, "created"},
                                                                        {State::starting, "starting"},
                                                                        {State::running, "running"},
                                                                        {State::paused, "paused"},
                                                                        {State::stopping, "stopping"},
                                                                        {State::stopped, "stopped"},
                                                                        {State::failed, "failed"},
                                                                        {State::gone, "gone"}}};

/// Levels may be added between the known ones: the next lower one is what can be relied on.
Isolation isolation_of(std::int32_t level) {
  if (level >= KORTEX_ISOLATION_MICROVM) return Isolation::microvm;
  if (level >= KORTEX_ISOLATION_CONTAINER) return Isolation::container;
  if (level >= KORTEX_ISOLATION_PROCESS) return Isolation::process;
  return Isolation::none;
}

}  // namespace

std::string_view to_string(State state) {
  for (const auto& [value, name] : state_names)
    if (value == state) return name;
  return "unknown";
}

std::optional<State> state_from_string(std::string_view text) {
  for (const auto& [value, name] : state_names)
    if (name == text) return value;
  return std::nullopt;
}

std::string_view to_string(Isolation isolation) {
  switch (isolation) {
    case Isolation::none: return "none";
    case Isolation::process: return "process";
    case Isolation::container: return "container";
    case Isolation::microvm: return "microvm";
  }
  return "none";
}

void write_guarantees(PayloadWriter& out, const kortex_guarantees& guarantees) {
  out.number(guarantees.isolation).number(guarantees.enforces);
}

Guarantees read_guarantees(FrameReader& in, std::string_view json) {
  Guarantees guarantees;
  guarantees.isolation = isolation_of(in.number<std::int32_t>());
  guarantees.enforces = in.number<std::uint64_t>();
  boost::json::error_code error;
  const boost::json::value document = json.empty() ? boost::json::value() : boost::json::parse({json.data(), json.size()}, error);
  const boost::json::value* exposure = !error && document.is_object() ? document.as_object().if_contains("exposure") : nullptr;
  if (exposure == nullptr || !exposure->is_array()) return guarantees;
  for (const boost::json::value& entry : exposure->as_array())
    if (const boost::json::string* text = entry.if_string(); text != nullptr && guarantees.exposure.size() < max_exposures)
      guarantees.exposure.push_back(clean_line({text->data(), text->size()}, max_exposure));
  return guarantees;
}

std::string exec_end_bytes(const kortex_exit& end) {
  std::string bytes;
  PayloadWriter(bytes).number(end.how).number(end.code);
  return bytes;
}

ExecEnd read_exec_end(std::string_view bytes) {
  FrameReader in(bytes);
  ExecEnd end;
  const auto how = in.number<kortex_end>();
  end.how = how == KORTEX_END_DETACHED  ? ExecEnd::How::detached
            : how == KORTEX_END_STOPPED ? ExecEnd::How::stopped
                                        : ExecEnd::How::exited;
  end.code = std::clamp<std::int32_t>(in.number<std::int32_t>(), -1, 255);
  return end;
}

}  // namespace kortex::host
