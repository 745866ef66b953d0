// probe() and guarantees().
#include <algorithm>

#include "instance.hpp"
#include "json_reader.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

Outcome probe(Bench& bench) {
  return bench.perform({.function = "probe", .deadline = std::chrono::seconds(20)},
                       [](Child& child) { return child.sealed([&] { return child.plugin.probe(child.runtime, child.call); }); });
}

Json object_of(const Outcome& outcome) {
  expect(outcome.results.size() == 1, outcome.function + "() called result() " + std::to_string(outcome.results.size()) + " times, not once");
  const std::optional<Json> json = parse_json(outcome.results.front());
  expect(json && json->kind == Json::Kind::object, outcome.function + "() gave no JSON object: " + in_quotes(outcome.results.front()));
  return *json;
}

void tells_its_backend(Bench& bench) {
  const Outcome outcome = probe(bench);
  if (outcome.signal == 0 && outcome.status == KORTEX_E_UNAVAILABLE) {
    expect(outcome.failures.size() == 1, "probe() returned UNAVAILABLE and did not say why");
    throw Skipped("the backend is not usable: " + outcome.failures.front().message);
  }
  expect_ok(outcome);
  const Json json = object_of(outcome);
  const Json* backend = json.find("backend");
  expect(backend != nullptr && backend->kind == Json::Kind::string && !backend->text.empty(), "probe()'s result has no \"backend\"");
}

void states_what_it_enforces(Bench& bench) {
  const Outcome outcome = bench.instance().guarantees();
  expect_ok(outcome);
  for (const std::string& complaint : outcome.complaints)
    if (complaint.rfind("R2", 0) == 0) fail(complaint);
  const kortex_guarantees& given = *outcome.guarantees;
  const kortex_isolation known[] = {KORTEX_ISOLATION_NONE, KORTEX_ISOLATION_PROCESS, KORTEX_ISOLATION_CONTAINER, KORTEX_ISOLATION_MICROVM};
  expect(std::find(std::begin(known), std::end(known), given.isolation) != std::end(known),
         "the isolation " + std::to_string(given.isolation) + " is none of the header's");
  expect((given.enforces >> 14) == 0, "it claims guarantees that this header does not have");
  const Json json = object_of(outcome);
  const Json* exposure = json.find("exposure");
  expect(exposure != nullptr && exposure->kind == Json::Kind::array, "guarantees() gave no \"exposure\"");
  for (const Json& item : exposure->items) expect(item.kind == Json::Kind::string && !item.text.empty(), "an \"exposure\" is no text");
  expect(given.isolation != KORTEX_ISOLATION_NONE || !exposure->items.empty(), "nothing is isolated, and \"exposure\" does not say so");
}

void states_it_without_changing_anything(Bench& bench) {
  Instance& instance = bench.instance();
  const Outcome first = instance.guarantees(), second = instance.guarantees();
  expect_ok(first);
  expect_ok(second);
  expect(first.guarantees->enforces == second.guarantees->enforces && first.guarantees->isolation == second.guarantees->isolation,
         "asked twice, guarantees() answers differently");
  expect_equal("the state after guarantees()", state_name(instance.state()), "gone");
  expect(std::filesystem::is_empty(instance.state_dir()), "guarantees() left something in the instance's directory");
}

constexpr Test table[] = {
    {.part = "core", .name = "tells-its-backend", .rule = "probe(): a result with \"backend\", or UNAVAILABLE", .run = tells_its_backend},
    {.part = "core", .name = "states-what-it-enforces", .rule = "guarantees(): isolation, bits, exposure", .needs = need_backend, .run = states_what_it_enforces},
    {.part = "core", .name = "states-it-without-changing-anything", .rule = "guarantees() changes nothing", .needs = need_backend, .run = states_it_without_changing_anything},
};

}  // namespace

const std::span<const Test> backend_tests = table;

}  // namespace kortex::check
