/// Many workspaces at once: copies of one that a real `init` made.
#pragma once

#include <filesystem>
#include <string>

namespace kortex::bench {

/// Registers one workspace of runtime `fake` called `name` in `store`, and `count - 1` more that differ from it in id, key
/// and name only: their records, their names, and the fake backend's instances.
void register_many(const std::string& cli, const std::filesystem::path& store, const std::filesystem::path& sources, int count);

}  // namespace kortex::bench
