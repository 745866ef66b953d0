/// Which store this is: what tells its instances from those of other stores and other users on the same engine.
///
///     <root>/marks/<runtime>    "<32 hexadecimal digits> <inode of this very file>"
///
/// Made at random when the first workspace of a runtime is registered, and given to it as the label `io.kortex.store`. Each
/// runtime has its own: two may reach one engine (docker's may be told to talk to podman) and show what the other has made;
/// and of a runtime that was never given one it is known that it has nothing, without asking. The inode
/// makes a copy of a store (a backup, a home carried to another machine) another store: both would take the other's
/// instances for their own. A store that is moved within its file system keeps its marks; one that is lost is not made up for:
/// what cannot be proven to be ours is nobody's to remove.
#pragma once

#include <filesystem>
#include <string>

namespace kortex::host {

/// Empty: it has none yet, or is a copy. Throws std::system_error when it cannot be read.
[[nodiscard]] std::string read_store_mark(const std::filesystem::path& root, const std::string& runtime);

/// Makes it where there is none. `scratch`: a directory of the caller's own on the same file system, who takes it away when
/// he is done, and somebody else when he is killed. Throws std::system_error.
[[nodiscard]] std::string make_store_mark(const std::filesystem::path& root, const std::string& runtime, const std::filesystem::path& scratch);

}  // namespace kortex::host
