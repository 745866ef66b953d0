/// Which store this is: what tells its instances from those of other stores and other users on the same engine.
///
///     <root>/mark       "<32 hexadecimal digits> <inode of this very file>"
///
/// Made at random when the store's first workspace is registered, and given to runtimes, with their name, as the label `io.kortex.store`. The inode
/// makes a copy of a store (a backup, a home carried to another machine) another store: both would take the other's
/// instances for their own. A store that is moved within its file system keeps its mark; one that is lost is not made up for:
/// what cannot be proven to be ours is nobody's to remove.
#pragma once

#include <filesystem>
#include <string>

namespace kortex::host {

/// Empty: it has none yet, or is a copy. Throws std::system_error when it cannot be read.
[[nodiscard]] std::string read_store_mark(const std::filesystem::path& root);

/// Makes it where there is none. `scratch`: a directory of the caller's own on the same file system, who takes it away when
/// he is done, and somebody else when he is killed. Throws std::system_error.
[[nodiscard]] std::string make_store_mark(const std::filesystem::path& root, const std::filesystem::path& scratch);

/// What an instance is labelled with. One engine may be reached by two runtimes (docker's may be told to talk to podman), and each
/// shows what the other has made.
[[nodiscard]] inline std::string instance_mark(const std::string& store_mark, const std::string& runtime) { return store_mark + "/" + runtime; }

}  // namespace kortex::host
