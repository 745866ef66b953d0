/// The folder that a workspace is about, which is not ours: it may vanish.
#pragma once

#include <string>
#include <string_view>

namespace kortex::host {

/// Nothing is at `path`, or no folder. One that cannot be looked at is not gone.
[[nodiscard]] bool are_gone(std::string_view path);

/// "workspace 'shop': its sources '/src/shop' are gone"
[[nodiscard]] std::string gone_sources(std::string_view workspace, std::string_view path);

}  // namespace kortex::host
