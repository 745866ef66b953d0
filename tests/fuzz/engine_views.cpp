// What an engine says of a container, in JSON.
#include "engine/instance_view.hpp"

#include <kortex/json.hpp>

#include "invariant.hpp"

using namespace kortex::engine;
namespace fuzz = kortex::fuzz;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text = fuzz::text_of(data, size);
  (void)time_ms(text);
  (void)exit_code_in(text);
  json::error_code error;
  const json::value document = json::parse({text.data(), text.size()}, error);
  if (error) return 0;
  for (const kortex::Instance& instance : {from_inspect(document), from_docker_list(document), from_libpod_list(document)}) {
    for (const kortex::Forward& forward : instance.forwards) fuzz::require(!forward.bind.empty(), "a forward has an address");
    if (instance.details_json.empty()) continue;
    (void)json::parse(instance.details_json, error);
    fuzz::require(!error, "details are JSON");
  }
  return 0;
}
