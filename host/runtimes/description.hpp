/// The plugin's table as data, and on its way from an operation's child to the parent.
#pragma once

#include <kortex/runtime.h>

#include <string>

#include "runtimes/frames.hpp"
#include "runtimes/runtime.hpp"

namespace kortex::host {

/// In the child: a copy of everything the table tells, made fit.
[[nodiscard]] Description describe_table(const kortex_plugin&);

/// `given`, and the defaults of the GLOBAL options that are not in it.
[[nodiscard]] KeyValues with_global_defaults(const kortex_plugin&, KeyValues given);

void write_description(PayloadWriter&, const Description&);
[[nodiscard]] Description read_description(FrameReader&);
void write_key_values(PayloadWriter&, const KeyValues&);
[[nodiscard]] KeyValues read_key_values(FrameReader&);

}  // namespace kortex::host
