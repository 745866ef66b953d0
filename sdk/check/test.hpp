/// A test: a name, what it needs, and a function that throws when the runtime breaks the contract.
#pragma once

#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace kortex::check {

class Bench;

class Failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};
/// The reason is shown; the test neither passes nor fails.
class Skipped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum Need : std::uint32_t {
  need_nothing = 0,
  need_backend = 1 << 0,   ///< probe() succeeds
  need_agent = 1 << 1,     ///< the runtime runs the agent, and shows it the sources
  need_exec = 1 << 2,
  need_terminal = 1 << 3,
  need_logs = 1 << 4,
  need_wait = 1 << 5,
  need_list = 1 << 6,
  need_concurrent = 1 << 7,
  need_image = 1 << 8,     ///< --image was given
};

struct Test {
  std::string_view part;      ///< "core", an optional operation, or a guarantee: what the closing line counts
  std::string_view name;      ///< a sentence in words with dashes
  std::string_view rule;      ///< what of kortex/runtime.h it is about
  std::uint32_t needs = need_nothing;
  std::uint64_t guarantee = 0;      ///< KORTEX_GUARANTEE_*: not claimed, not tried
  std::int32_t isolation = 0;       ///< at least
  void (*run)(Bench&) = nullptr;

  [[nodiscard]] std::string full_name() const { return std::string(part) + '.' + std::string(name); }
};

/// In the order in which they are run.
[[nodiscard]] std::vector<const Test*> all_tests();

void expect(bool holds, const std::string& otherwise);
[[noreturn]] void fail(const std::string& why);
/// "expected X, got Y", named.
void expect_equal(std::string_view what, std::string_view got, std::string_view expected);
void expect_equal(std::string_view what, std::int64_t got, std::int64_t expected);

[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace kortex::check
