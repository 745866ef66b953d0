/// The part of this machine's /etc that every program may read, as a directory of its own: a sandbox mounts it in one
/// go, where mounting or copying each of a hundred files would take longer than everything else together.
#pragma once

#include <string>

namespace kortex::process {

/// The directory, in `state_dir`, brought up to date with /etc: files that changed are copied again, and running
/// sandboxes see it. Any number of processes may do so at once. Throws std::system_error.
[[nodiscard]] std::string public_etc(const std::string& state_dir);

/// The same for any directory and any names in it. Keeps `to` + ".list" and `to` + ".lock" beside `to`.
void mirror_public(const std::string& from, const std::string& to, bool (*wanted)(const std::string& relative_path));

}  // namespace kortex::process
