/// "did you mean": the names within edit distance two, nearest first, at most three.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kortex::host {

[[nodiscard]] std::vector<std::string> nearest(std::string_view given, const std::vector<std::string>& known);

}  // namespace kortex::host
