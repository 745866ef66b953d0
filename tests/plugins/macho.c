/* A plugin for macOS, as far as it can be made without a Mac: compiled and linked by tests/unit/runtimes, read by the host's
 * reader of notes, run by nobody. */
#include <kortex/runtime.h>

KORTEX_RUNTIME_NOTE("good", "1.2.3", "made for macOS elsewhere");

static const kortex_plugin plugin = {
    .struct_size = sizeof plugin,
    .abi_major = KORTEX_ABI_MAJOR,
    .abi_minor = KORTEX_ABI_MINOR,
    .name = "good",
    .version = "1.2.3",
    .summary = "made for macOS elsewhere",
};

const kortex_plugin *KORTEX_RUNTIME_ENTRY(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &plugin;
}

/* Visible in the object, and not in what is linked with the list of exported symbols. */
KORTEX_EXPORT int kortex_not_exported(void);
int kortex_not_exported(void) { return 1; }
