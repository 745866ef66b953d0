// The words of a command line, each ended by a NUL.
#include "cli/parse.hpp"

#include <algorithm>

#include "cli/commands.hpp"
#include "invariant.hpp"
#include "system/error.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::string> words;
  for (std::string_view rest = kortex::fuzz::text_of(data, size); !rest.empty();) {
    const std::size_t end = std::min(rest.find('\0'), rest.size());
    words.emplace_back(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
  }
  const bool json = asks_for_json(words);
  const Command* const named = named_command(words);
  try {
    const Request request = parse(words);
    if (request.what == Request::What::command) {
      require(request.command != nullptr && request.command == named, "what is run is what is named");
      for (const auto& [name, values] : request.options) {
        const std::string& key = name;
        const auto is = [&](const OptionSpec& option) { return option.name == key; };
        const auto& own = request.command->options;
        const auto& global = global_options();
        require(std::any_of(own.begin(), own.end(), is) || std::any_of(global.begin(), global.end(), is), "an option is one of the command's");
      }
      const auto output = request.options.find("output");
      if (output != request.options.end() && output->second.back() == "json")
        require(json, "a failure of what has JSON output is JSON");
    }
  } catch (const Error& error) {
    require(error.kind() == ErrorKind::usage, "a wrong command line is a usage error");
    require(!error.message().empty(), "an error says something");
  }
  return 0;
}
