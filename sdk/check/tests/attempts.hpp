/// Guarantees are tried by the helper as the agent; what became of it is a report.
#pragma once

#include "instance.hpp"

namespace kortex::check {

using Findings = std::vector<std::pair<std::string, std::string>>;

/// Starts an instance that tries, and waits for its report.
[[nodiscard]] Findings attempted(Bench&, Wish, const std::vector<std::string>& attempt);
/// The same, when the instance is still wanted.
[[nodiscard]] Instance& attempting(Bench&, Wish, const std::vector<std::string>& attempt);

/// The first entry of that name; "" when there is none.
[[nodiscard]] std::string reported(const Findings&, const std::string& name);

}  // namespace kortex::check
