/// Which build of the session holder a container of a given architecture can run. The one for linux/arm64, which a Mac
/// has no other use for, is carried in the plugin itself.
#pragma once

#include <string>
#include <string_view>

namespace kortex::apple {

/// "arm64", "amd64": of a linux program in memory; empty: it is none.
[[nodiscard]] std::string architecture_of(std::string_view elf);

/// The carried one; empty where the plugin was built without.
[[nodiscard]] std::string_view carried_holder();

/// Puts the holder for `architecture` into the directory as `kortex-session`; `installed`: the host's own, may be "". Throws
/// UNSUPPORTED where there is none.
void put_holder(const std::string& architecture, const std::string& installed, const std::string& directory);

}  // namespace kortex::apple
