/// Loading a plugin: the only place that knows Boost.DLL. Runs plugin code (constructors), so only in an operation's child.
#pragma once

#include <kortex/runtime.h>

#include "runtimes/registry.hpp"

namespace kortex::host {

/// Loads and checks the table. What is loaded is never unloaded. Throws Error(no_runtime).
[[nodiscard]] const kortex_plugin& load_plugin(const PluginFile&);

}  // namespace kortex::host
