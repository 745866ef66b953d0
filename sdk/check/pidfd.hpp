/// pidfd_open and pidfd_send_signal, which glibc 2.36 declares without C linkage.
#pragma once

extern "C" {
#include <sys/pidfd.h>
}
