/// An operation that nobody waits for.
#pragma once

#include <kortex/call.hpp>

namespace kortex::fuzz {

inline const kortex_call& call_without_host() {
  static const kortex_call call = [] {
    kortex_call out{};
    out.struct_size = sizeof out;
    out.cancel_fd = out.resize_fd = out.signal_fd = -1;
    out.deadline_ms = -1;
    out.is_cancelled = [](const kortex_call*) -> std::int32_t { return 0; };
    return out;
  }();
  return call;
}

}  // namespace kortex::fuzz
