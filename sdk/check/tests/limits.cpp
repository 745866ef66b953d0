// Guarantees: memory, processes and processors are bounded.
#include "tests/attempts.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

constexpr std::int64_t mebibyte = 1 << 20;

void bounds_memory(Bench& bench) {
  Wish wish;
  wish.memory = 128 * mebibyte;
  Instance& instance = attempting(bench, wish, {"memory", "512"});
  // The instance may be ended as a whole: then there is no report, and that is fine.
  while (!instance.has_sign("report") && instance.state() == KORTEX_STATE_RUNNING) continue;
  if (instance.has_sign("report"))
    expect_equal("512 MiB in an instance of 128 MiB", reported(instance.report(), "memory"), "refused");
}

void bounds_processes(Bench& bench) {
  Wish wish;
  wish.processes = 40;
  const Findings found = attempted(bench, wish, {"processes", "200"});
  const std::string alive = reported(found, "processes");
  expect(!alive.empty() && std::stoi(alive) <= 40, "in an instance of 40 processes " + alive + " more live at the same time");
}

void bounds_processors(Bench& bench) {
  Wish wish;
  wish.cpus_milli = 250;
  const Findings found = attempted(bench, wish, {"cpus"});
  const std::string percent = reported(found, "cpus");
  expect(!percent.empty() && std::stoi(percent) <= 40, "an instance of a quarter of a processor had " + percent + " percent of one");
}

constexpr std::uint32_t needs = need_backend | need_agent;
constexpr Test table[] = {
    {.part = "memory", .name = "bounds-memory", .rule = "KORTEX_GUARANTEE_MEMORY", .needs = needs, .guarantee = KORTEX_GUARANTEE_MEMORY, .run = bounds_memory},
    {.part = "processes", .name = "bounds-processes", .rule = "KORTEX_GUARANTEE_PROCESSES", .needs = needs, .guarantee = KORTEX_GUARANTEE_PROCESSES, .run = bounds_processes},
    {.part = "cpus", .name = "bounds-processors", .rule = "KORTEX_GUARANTEE_CPUS", .needs = needs, .guarantee = KORTEX_GUARANTEE_CPUS, .run = bounds_processors},
};

}  // namespace

const std::span<const Test> limit_tests = table;

}  // namespace kortex::check
