/// Results that are more than a status, on their way from an operation's child to the parent.
#pragma once

#include <kortex/runtime.h>

#include <string>
#include <string_view>

#include "runtimes/frames.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

void write_guarantees(PayloadWriter&, const kortex_guarantees&);
/// `json`: what result() got: {"exposure": [text, ...]}, or empty.
[[nodiscard]] Guarantees read_guarantees(FrameReader&, std::string_view json);

[[nodiscard]] std::string exec_end_bytes(const kortex_exit&);
[[nodiscard]] ExecEnd read_exec_end(std::string_view bytes);

}  // namespace kortex::host
