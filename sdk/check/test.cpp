#include "test.hpp"

#include "tests/tests.hpp"

namespace kortex::check {

std::vector<const Test*> all_tests() {
  std::vector<const Test*> all;
  for (const std::span<const Test> part :
       {file_tests, load_tests, backend_tests, lifecycle_tests, failing_tests, process_tests, memory_tests, cancelling_tests, agent_tests,
        exec_tests, terminal_tests, logs_tests, wait_tests, list_tests, place_tests, network_tests, limit_tests})
    for (const Test& test : part) all.push_back(&test);
  return all;
}

void fail(const std::string& why) { throw Failed(why); }

void expect(bool holds, const std::string& otherwise) {
  if (!holds) fail(otherwise);
}

std::string in_quotes(std::string_view text) {
  std::string out = "'";
  for (const char c : text.substr(0, 300)) {
    static constexpr char hex[] = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      out += c;
    else if (c == '\n')
      out += "\\n";
    else if (c == '\r')
      out += "\\r";
    else
      out += std::string("\\x") + hex[byte >> 4] + hex[byte & 15];
  }
  return out + (text.size() > 300 ? "…'" : "'");
}

void expect_equal(std::string_view what, std::string_view got, std::string_view expected) {
  if (got != expected) fail(std::string(what) + ": expected " + in_quotes(expected) + ", got " + in_quotes(got));
}

void expect_equal(std::string_view what, std::int64_t got, std::int64_t expected) {
  if (got != expected) fail(std::string(what) + ": expected " + std::to_string(expected) + ", got " + std::to_string(got));
}

}  // namespace kortex::check
