/// System calls that reach what no namespace separates.
#pragma once

#include <kortex/fd.hpp>

namespace kortex::process {

/// The filter as bubblewrap's --seccomp reads it, in a descriptor of its own. Empty where there is none for this processor.
[[nodiscard]] Fd seccomp_filter();

}  // namespace kortex::process
