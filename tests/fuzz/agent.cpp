// An agent's file.
#include "config/agents.hpp"

#include "invariant.hpp"
#include "system/error.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    const Agent agent = parse_agent(kortex::fuzz::text_of(data, size), "a", "a.json", {"/home/me/src", "/home/me"});
    require(!agent.command.empty() && !agent.command.front().empty(), "an agent has a program");
    for (const std::string& word : agent.command) require(word.find('\0') == std::string::npos, "a word has no NUL");
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::refused, "a broken file is refused");
    require(error.message().compare(0, 7, "a.json:") == 0, "a complaint says where");
  }
  return 0;
}
