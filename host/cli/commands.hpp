/// The table of commands and look-ups in it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command.hpp"

namespace kortex::host {

struct Noun {
  std::string_view name;
  std::string_view summary;
  bool implied;  ///< its commands work without it: `list` is `workspace list`
};

[[nodiscard]] std::span<const Command* const> all_commands();
[[nodiscard]] std::span<const Noun> all_nouns();
/// Options that every command takes.
[[nodiscard]] std::span<const OptionSpec> global_options();

[[nodiscard]] const Noun* find_noun(std::string_view name);
/// By verb or alias. An empty noun finds commands of their own and those of an implied noun.
[[nodiscard]] const Command* find_command(std::string_view noun, std::string_view verb);

/// As it is typed, in its shortest form: "list", "runtime list".
[[nodiscard]] std::string typed_name(const Command&);
/// What can be typed after `noun`, or first when it is empty; hidden ones left out.
[[nodiscard]] std::vector<std::string> verbs_of(std::string_view noun);

}  // namespace kortex::host
