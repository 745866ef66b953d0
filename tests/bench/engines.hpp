/// podman and docker against their own programs, in the same run on the same container.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "stopwatch.hpp"

namespace kortex::bench {

using Row = std::function<void(const std::string& what, const Pair& pair, double budget)>;

/// Prints why where an engine cannot be measured: it, or the image that KORTEX_BENCH_IMAGE names, is not there.
void measure_engines(const std::string& cli, const std::filesystem::path& place, int runs, int crowd, const Row& row);

}  // namespace kortex::bench
