/// Whether this machine can run another at its own speed. Opening /dev/kvm proves nothing: on some nested hosts it
/// opens, and guests crawl.
#pragma once

#include <cstdint>
#include <string>

#include <kortex/call.hpp>

namespace kortex::microvm {

/// "": KVM works; else why it does not. Runs a machine of a few instructions, in a process of its own.
[[nodiscard]] std::string kvm_problem();

/// This machine's time stamp counter, in kHz, which an emulated machine shows its guest; 0: unknown. A guest that
/// had to find out by itself would fail on a busy host.
[[nodiscard]] std::int64_t counter_khz(const Host&);

}  // namespace kortex::microvm
