#include "restrict.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#if defined(__x86_64__)
#define NATIVE AUDIT_ARCH_X86_64
#define FOREIGN AUDIT_ARCH_I386
/* Numbers of the 32-bit calls, which a program of 64 bits may make as well. */
enum { ADD_KEY32 = 286, REQUEST_KEY32 = 287, KEYCTL32 = 288, UNSHARE32 = 310, CLONE32 = 120, CLONE3_32 = 435, SOCKET32 = 359, SOCKETCALL32 = 102 };
#elif defined(__aarch64__)
#define NATIVE AUDIT_ARCH_AARCH64
#define FOREIGN AUDIT_ARCH_ARM
enum { ADD_KEY32 = 309, REQUEST_KEY32 = 310, KEYCTL32 = 311, UNSHARE32 = 337, CLONE32 = 120, CLONE3_32 = 435, SOCKET32 = 281, SOCKETCALL32 = 102 };
#endif

#ifdef NATIVE

#define LOAD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, field))
/* The lower half: what the kernel takes of a flag word or a family. */
#define ARGUMENT(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define REFUSE(error) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (error))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define UNLESS(number, count) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, count)

/* Keys belong to a user, and there is no namespace for them. */
#define NO_CALL(number) UNLESS(number, 1), REFUSE(ENOSYS)
/* In a namespace of its own a program is root, and reaches what of the kernel only root does. */
#define NO_NAMESPACE(number) UNLESS(number, 4), ARGUMENT(0), BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_NEWUSER, 0, 1), REFUSE(EPERM), ALLOW
/* Sockets to whoever runs this machine: no network namespace parts them from it. */
#define NO_VSOCK(number) UNLESS(number, 4), ARGUMENT(0), UNLESS(AF_VSOCK, 1), REFUSE(EAFNOSUPPORT), ALLOW
/* What clone3 is asked is in memory, where no filter looks: without it programs take clone. So it is with the old door to the
 * sockets, which only 32-bit programs have: it makes none. */
#define NO_SOCKETCALL(number) UNLESS(number, 4), ARGUMENT(0), UNLESS(1, 1), REFUSE(EAFNOSUPPORT), ALLOW

enum { FOREIGN_CALLS = 4 * 2 + 4 * 5 };

static const struct sock_filter filter[] = {
    LOAD(arch),
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, NATIVE, FOREIGN_CALLS + 4, 0),
    UNLESS(FOREIGN, FOREIGN_CALLS + 2),
    LOAD(nr),
    NO_CALL(ADD_KEY32),
    NO_CALL(REQUEST_KEY32),
    NO_CALL(KEYCTL32),
    NO_CALL(CLONE3_32),
    NO_NAMESPACE(UNSHARE32),
    NO_NAMESPACE(CLONE32),
    NO_VSOCK(SOCKET32),
    NO_SOCKETCALL(SOCKETCALL32),
    ALLOW,
    REFUSE(ENOSYS), /* another kind of call altogether */
    LOAD(nr),       /* NATIVE */
#if defined(__x86_64__)
    BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000, 0, 1), /* the x32 twins of all calls */
    REFUSE(ENOSYS),
#endif
    NO_CALL(__NR_add_key),
    NO_CALL(__NR_request_key),
    NO_CALL(__NR_keyctl),
    NO_CALL(__NR_clone3),
    NO_NAMESPACE(__NR_unshare),
    NO_NAMESPACE(__NR_clone),
    NO_VSOCK(__NR_socket),
    ALLOW,
};

bool restrict_sandbox(void) {
  const struct sock_fprog program = {sizeof filter / sizeof *filter, (struct sock_filter *)(uintptr_t)filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

#else

bool restrict_sandbox(void) { return true; }

#endif
