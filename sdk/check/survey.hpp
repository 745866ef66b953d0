/// What is found out of a plugin before its tests.
#pragma once

#include "bench.hpp"

namespace kortex::check {

[[nodiscard]] Survey take_survey(const Arguments&, const std::filesystem::path& shared, const std::filesystem::path& own);

/// Why the test is not run; empty: it is.
[[nodiscard]] std::string why_skipped(const Test&, const Survey&, const Arguments&);

struct GuaranteeName {
  std::uint64_t bit;
  const char* name;
};
[[nodiscard]] std::span<const GuaranteeName> guarantee_names();

}  // namespace kortex::check
