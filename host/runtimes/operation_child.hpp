/// What the forked child does, from fork to _exit.
#pragma once

#include <sys/types.h>

#include <csignal>

#include "runtimes/child_call.hpp"
#include "runtimes/operation.hpp"

namespace kortex::host {

struct ChildStart {
  pid_t parent = 0;
  int cancel_write_fd = -1;  ///< the child's own way to cancel the call, when the parent has died
  int noise_fd = -1;
  sigset_t signal_mask{};    ///< the parent's, before it blocked what it waits for
  ChildCallInputs call;
};

[[noreturn]] void run_child(const OperationSpec&, const ChildStart&);

}  // namespace kortex::host
