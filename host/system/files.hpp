/// Reading whole small files, and replacing them so that a crash leaves the old or the new one.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

namespace kortex::host {

/// The file's bytes. Throws std::system_error; EFBIG when it is larger than `limit`; EISDIR or EINVAL
/// when it is not a regular file (a FIFO does not block).
[[nodiscard]] std::string read_file(const std::filesystem::path& file, std::size_t limit);

/// Why read_file() failed, in words.
[[nodiscard]] std::string unreadable_because(const std::error_code&);

/// Writes a temporary file (mode 0600) beside `file`, fsyncs it, renames it over `file`, fsyncs the
/// directory. Throws std::system_error; the old file is then untouched and nothing is left behind. One process at a
/// time may: under a lock, or in a directory that is its own.
/// `Durability::ordered`: leaves out the last step. After a power cut there is the old file or the new one, whole.
/// `Durability::none`: for a new file, that whoever made it makes durable with sync_file() or does not need to.
enum class Durability { now, ordered, none };
void replace_file(const std::filesystem::path& file, std::string_view bytes, Durability durability = Durability::now);

/// Makes a file's contents durable. Throws std::system_error.
void sync_file(const std::filesystem::path& file);

/// Makes the entries of a directory durable. Throws std::system_error.
void sync_directory(const std::filesystem::path& directory);

/// mkdir -p with mode 0700 for what it makes, which survives a power cut. Throws std::system_error.
void make_private_directories(const std::filesystem::path& directory);

}  // namespace kortex::host
