/// --record: what the plugin had the host run, and what it was told. A JSON object a line, so that it can be read, cut and sent; the first
/// one says what it is a recording of.
///
///     {"kortex-recording": 1, "by": ..., "plugin": ..., "machine": ...}
///     {"function": "inspect", "argv": [...], "status": 0, "stdout": "...", "stderr": "...", "ms": 12}
///
/// `status` is null where it did not come to one: "error" then says why; and where the program was left running, "detached". A stream
/// that the plugin took for itself is null. Bytes that are no ASCII are written as the characters of the same number. The environment is not
/// recorded, nor is what was written to a program.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <kortex/runtime.h>

namespace kortex::check {

/// Throws std::runtime_error: the file cannot be written.
void begin_recording(const std::string& file, const std::string& plugin);

/// One line, whole, whoever else writes to it.
void record_program(const std::string& file, const std::string& function, const kortex_process& process, const kortex_process_result* result,
                    kortex_status status, std::int64_t ms);

/// A JSON string of any bytes.
[[nodiscard]] std::string quoted_bytes(std::string_view bytes);

}  // namespace kortex::check
