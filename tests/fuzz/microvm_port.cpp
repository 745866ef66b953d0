// What a guest says on its port, cut anywhere: the first byte says how. What it says does not matter to us, only that it is
// read the same however it comes, that it cannot grow, and that our own bytes come back.
#include "port_words.hpp"

#include "invariant.hpp"

using kortex::fuzz::require;
using kortex::microvm::PortWords;

namespace {

std::string taken(std::string_view bytes, std::size_t step, bool& over) {
  PortWords words;
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += step) words.take(bytes.substr(at, step), out);
  over = words.over();
  return out;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const std::string_view bytes = kortex::fuzz::text_of(data + 1, size - 1);
  const std::size_t step = data[0] % 32 + std::size_t{1};
  bool over_at_once = false, over = false;
  const std::string at_once = taken(bytes, bytes.size(), over_at_once);
  require(at_once == taken(bytes, step, over) && over_at_once == over, "how a stream is cut changes nothing");
  require(at_once.size() <= bytes.size(), "what a guest says does not grow");
  std::string escaped;
  kortex::microvm::append_escaped(escaped, bytes);
  require(taken(escaped, step, over) == bytes && !over, "what is escaped comes back");
  return 0;
}
