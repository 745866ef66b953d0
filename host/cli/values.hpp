/// Values of options as people write them. All throw Error(usage) that names `what`.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "runtimes/workspace_spec.hpp"

namespace kortex::host {

/// "30s", "250ms", "5m", "1h", "0". Exact: no fractions, no overflow.
[[nodiscard]] std::chrono::milliseconds parse_duration(const std::string& text, const std::string& what);
/// A count of zero or more.
[[nodiscard]] std::int64_t parse_count(const std::string& text, const std::string& what);
/// 1, true, yes, on; 0, false, no, off; in any case.
[[nodiscard]] bool parse_boolean(const std::string& text, const std::string& what);
/// "key=value" each; "key" alone means "key=true" where `bare` allows it.
enum class Bare { refused, is_true };
[[nodiscard]] KeyValues parse_pairs(const std::vector<std::string>& texts, const std::string& what, Bare bare);
/// "ctrl-p,ctrl-q", "ctrl-p ctrl-q", "a": the bytes that they send. Empty: none.
[[nodiscard]] std::string parse_detach_keys(const std::string& text, const std::string& what);

}  // namespace kortex::host
