#include "seccomp_filter.hpp"

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstddef>
#include <system_error>
#include <vector>

namespace kortex::process {

namespace {

// The user's keys (of the session, of a Kerberos cache, of an encrypted disk) belong to the uid, and there is no
// namespace for them. The rest are doors to the kernel that a compiler or an agent never needs.
#if defined(__x86_64__) || defined(__aarch64__)
constexpr unsigned denied[] = {
    __NR_add_key,  __NR_request_key,    __NR_keyctl,     __NR_bpf,         __NR_perf_event_open, __NR_userfaultfd,
    __NR_syslog,   __NR_kexec_load,     __NR_acct,       __NR_quotactl,    __NR_init_module,     __NR_finit_module,
    __NR_swapon,   __NR_delete_module,  __NR_swapoff,    __NR_reboot,      __NR_open_by_handle_at,
};
#endif
#if defined(__x86_64__)
constexpr unsigned native = AUDIT_ARCH_X86_64;
constexpr unsigned foreign = AUDIT_ARCH_I386;
constexpr unsigned foreign_denied[] = {286, 287, 288, 357, 336, 374, 103, 283, 51, 131, 128, 350, 87, 129, 115, 88, 342};
constexpr unsigned first_invalid = 0x40000000;  // the x32 twins of all calls
#elif defined(__aarch64__)
constexpr unsigned native = AUDIT_ARCH_AARCH64;
constexpr unsigned foreign = AUDIT_ARCH_ARM;
constexpr unsigned foreign_denied[] = {309, 310, 311, 386, 364, 388, 103, 347, 51, 131, 128, 379, 87, 129, 115, 88, 371};
constexpr unsigned first_invalid = 0x40000000;
#endif

}  // namespace

#if defined(__x86_64__) || defined(__aarch64__)
Fd seccomp_filter() {
  std::vector<sock_filter> program;
  const auto add = [&program](unsigned code, unsigned value, unsigned char yes = 0, unsigned char no = 0) {
    program.push_back({static_cast<__u16>(code), yes, no, value});
  };
  const auto deny = [&add](const auto& calls) {
    for (const unsigned call : calls) {
      add(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1);
      add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
    }
  };
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, arch));
  const std::size_t first_jump = program.size();
  add(BPF_JMP | BPF_JEQ | BPF_K, native, 0, 0);  // the distance is filled in below
  add(BPF_JMP | BPF_JEQ | BPF_K, foreign, 1, 0);
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  deny(foreign_denied);
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  program[first_jump].jt = static_cast<unsigned char>(program.size() - first_jump - 1);
  add(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  add(BPF_JMP | BPF_JGE | BPF_K, first_invalid, 0, 1);
  add(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS);
  deny(denied);
  add(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);

  Fd memory(::memfd_create("kortex-seccomp", MFD_CLOEXEC));
  const std::size_t size = program.size() * sizeof(sock_filter);
  if (!memory || ::write(memory.get(), program.data(), size) != static_cast<ssize_t>(size) || ::lseek(memory.get(), 0, SEEK_SET) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot write the seccomp filter");
  return memory;
}
#else
Fd seccomp_filter() { return Fd(); }
#endif

}  // namespace kortex::process
