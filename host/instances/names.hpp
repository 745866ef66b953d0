/// What a workspace may be called. See also check_name() and name_from_path() in store.hpp.
#pragma once

#include <string>
#include <string_view>

namespace kortex::host {

[[nodiscard]] bool is_utf8(std::string_view);
/// 64 lower-case hexadecimal digits.
[[nodiscard]] bool is_workspace_id(std::string_view);
[[nodiscard]] bool is_hexadecimal(std::string_view);

/// `base` + `suffix`, the base shortened between characters so that the result is a name.
[[nodiscard]] std::string with_suffix(const std::string& base, const std::string& suffix);

/// "kortex-my-project-0123456789ab": the label by which a runtime finds the instance again, whatever becomes of the name.
[[nodiscard]] std::string key_for(const std::string& name, const std::string& id);

/// `word` as it has to be typed in a shell.
[[nodiscard]] std::string typeable(const std::string& word);
/// What to do about a record that cannot be read: never to give up a workspace that a newer kortex-cli can use.
[[nodiscard]] std::string way_out(const std::string& problem, const std::string& name);

/// 32 random bytes in hexadecimal. Throws std::system_error.
[[nodiscard]] std::string random_id();

}  // namespace kortex::host
