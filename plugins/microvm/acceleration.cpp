#include "acceleration.hpp"

#include <fcntl.h>
#include <linux/kvm.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstring>

#include <kortex/fd.hpp>

#include "files.hpp"

#if defined(__x86_64__)
#include <x86intrin.h>
#endif

namespace kortex::microvm {

namespace {

using Clock = std::chrono::steady_clock;

#if defined(__x86_64__) || defined(__aarch64__)

constexpr int patience_ms = 5000;
constexpr std::int64_t loop_limit_us = 20000;  // real hardware: well under 1000; software that plays it: 100000 and more

struct Verdict {
  char step[40];
  int error;
  std::int64_t loop_us;
};

#if defined(__x86_64__)

/// 64-bit code, as guests run: mov $100000,%ecx; 1: dec %ecx; jnz 1b; hlt
constexpr unsigned char loop_code[] = {0xb9, 0xa0, 0x86, 0x01, 0x00, 0xff, 0xc9, 0x75, 0xfc, 0xf4};

/// In a child: the kernel may never come back from it.
void run_tiny_machine(Verdict& verdict) {
  const auto fail = [&](const char* step) {
    std::snprintf(verdict.step, sizeof verdict.step, "%s", step);
    verdict.error = errno;
  };
  const int kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return fail("open /dev/kvm");
  const int machine = ::ioctl(kvm, KVM_CREATE_VM, 0);
  if (machine < 0) return fail("make a machine");
  constexpr std::size_t size = 64 * 1024;
  auto* memory = static_cast<unsigned char*>(::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  kvm_userspace_memory_region region{};
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
  if (memory == MAP_FAILED || ::ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) != 0) return fail("give it memory");
  const int cpu = ::ioctl(machine, KVM_CREATE_VCPU, 0);
  const int shared_size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  if (cpu < 0 || shared_size < 0) return fail("give it a processor");
  auto* shared = static_cast<kvm_run*>(::mmap(nullptr, static_cast<std::size_t>(shared_size), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0));
  kvm_sregs special{};
  if (shared == MAP_FAILED || ::ioctl(cpu, KVM_GET_SREGS, &special) != 0) return fail("read its registers");
  // Page tables at 0x1000: the first 2 MiB onto themselves. The code at 0x8000.
  const std::uint64_t tables[] = {0x2003, 0x3003, 0x83};
  for (std::size_t i = 0; i < 3; ++i) std::memcpy(memory + 0x1000 * (i + 1), &tables[i], sizeof tables[i]);
  std::memcpy(memory + 0x8000, loop_code, sizeof loop_code);
  special.cr3 = 0x1000;
  special.cr4 = 0x20;         // PAE
  special.cr0 = 0x80000011u;  // PG, ET, PE
  special.efer = 0x500;       // LMA, LME
  kvm_segment code{};
  code.limit = 0xffffffff;
  code.selector = 8;
  code.present = code.s = code.l = code.g = 1;
  code.type = 11;
  special.cs = code;
  code.type = 3;
  code.selector = 16;
  code.l = 0;
  code.db = 1;
  special.ds = special.es = special.fs = special.gs = special.ss = code;
  if (::ioctl(cpu, KVM_SET_SREGS, &special) != 0) return fail("set its registers");
  verdict.loop_us = patience_ms * 1000;
  for (int round = 0; round < 3; ++round) {
    kvm_regs registers{};
    registers.rip = 0x8000;
    registers.rflags = 2;
    if (::ioctl(cpu, KVM_SET_REGS, &registers) != 0) return fail("set its registers");
    const Clock::time_point begin = Clock::now();
    if (::ioctl(cpu, KVM_RUN, 0) != 0) return fail("run it");
    verdict.loop_us = std::min<std::int64_t>(verdict.loop_us, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    if (shared->exit_reason != KVM_EXIT_HLT) {
      errno = 0;
      return fail("run it to its end");
    }
    if (verdict.loop_us < loop_limit_us) return;
  }
}

#else

/// nop; mov w0, #100000; 1: subs w0, w0, #1; b.ne 1b; mov x1, #0x10000; str w0, [x1], where nothing is. That ends it; the next round
/// then begins behind the first instruction.
constexpr std::uint32_t loop_code[] = {0xd503201f, 0x5290d400, 0x72a00020, 0x71000400, 0x54ffffe1, 0xd2a00021, 0xb9000020};

/// In a child: the kernel may never come back from it.
void run_tiny_machine(Verdict& verdict) {
  const auto fail = [&](const char* step) {
    std::snprintf(verdict.step, sizeof verdict.step, "%s", step);
    verdict.error = errno;
  };
  const int kvm = ::open("/dev/kvm", O_RDWR | O_CLOEXEC);
  if (kvm < 0) return fail("open /dev/kvm");
  // Some processors have fewer address bits than the 40 of a machine that is not told how many.
  const int bits = ::ioctl(kvm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_VM_IPA_SIZE);
  const int machine = ::ioctl(kvm, KVM_CREATE_VM, bits > 0 ? KVM_VM_TYPE_ARM_IPA_SIZE(static_cast<unsigned>(bits)) : 0ul);
  if (machine < 0) return fail("make a machine");
  constexpr std::size_t size = 64 * 1024;
  void* const memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  kvm_userspace_memory_region region{};
  region.memory_size = size;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory);
  if (memory == MAP_FAILED || ::ioctl(machine, KVM_SET_USER_MEMORY_REGION, &region) != 0) return fail("give it memory");
  std::memcpy(memory, loop_code, sizeof loop_code);
  const int cpu = ::ioctl(machine, KVM_CREATE_VCPU, 0);
  const int shared_size = ::ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
  kvm_vcpu_init kind{};
  if (cpu < 0 || shared_size < 0 || ::ioctl(machine, KVM_ARM_PREFERRED_TARGET, &kind) != 0 || ::ioctl(cpu, KVM_ARM_VCPU_INIT, &kind) != 0)
    return fail("give it a processor");
  auto* shared = static_cast<kvm_run*>(::mmap(nullptr, static_cast<std::size_t>(shared_size), PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0));
  if (shared == MAP_FAILED) return fail("read its registers");
  verdict.loop_us = patience_ms * 1000;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t begins = 0;
    kvm_one_reg counter{};
    counter.id = KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE | (offsetof(kvm_regs, regs.pc) / sizeof(std::uint32_t));
    counter.addr = reinterpret_cast<std::uintptr_t>(&begins);
    if (::ioctl(cpu, KVM_SET_ONE_REG, &counter) != 0) return fail("set its registers");
    const Clock::time_point begin = Clock::now();
    if (::ioctl(cpu, KVM_RUN, 0) != 0) return fail("run it");
    verdict.loop_us = std::min<std::int64_t>(verdict.loop_us, std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - begin).count());
    if (shared->exit_reason != KVM_EXIT_MMIO || shared->mmio.phys_addr != size) {
      errno = 0;
      return fail("run it to its end");
    }
    if (verdict.loop_us < loop_limit_us) return;
  }
}

#endif

#endif

std::int64_t measured_counter_khz() {
#if defined(__x86_64__)
  std::int64_t best_span = 0;
  double khz = 0;
  // The longest undisturbed look is the best: both clocks are read together, a preemption between them spoils it.
  const Clock::time_point begin = Clock::now();
  const std::uint64_t first = __rdtsc();
  pollfd nothing{-1, 0, 0};
  ::poll(&nothing, 1, 20);
  for (int look = 0; look < 5; ++look) {
    const Clock::time_point before = Clock::now();
    const std::uint64_t counted = __rdtsc();
    const std::int64_t doubt = (Clock::now() - before).count();
    const std::int64_t span = (before - begin).count();
    if (look > 0 && doubt >= best_span) continue;
    best_span = doubt;
    khz = static_cast<double>(counted - first) * 1e6 / static_cast<double>(span);
  }
  return static_cast<std::int64_t>(khz);
#else
  return 0;
#endif
}

}  // namespace

std::string kvm_problem() {
  if (::access("/dev/kvm", F_OK) != 0) return "there is no /dev/kvm on this machine";
  if (::access("/dev/kvm", R_OK | W_OK) != 0) return "this user may not use /dev/kvm";
#if defined(__x86_64__) || defined(__aarch64__)
  void* const shared = ::mmap(nullptr, sizeof(Verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) fail_system("mmap");
  auto* const verdict = new (shared) Verdict{};
  Pipe alive = Pipe::make();
  const pid_t pid = ::fork();
  if (pid == 0) {
    run_tiny_machine(*verdict);
    ::_exit(0);
  }
  alive.write.reset();
  std::string problem;
  if (pid < 0) {
    problem = "it could not be tried";
  } else {
    pollfd ended{alive.read.get(), POLLIN, 0};
    const bool in_time = ::poll(&ended, 1, patience_ms) == 1;
    if (!in_time) ::kill(pid, SIGKILL);
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (!in_time)
      problem = "/dev/kvm opens, but a machine of ten instructions did not end in 5 seconds";
    else if (!WIFEXITED(status))
      problem = "/dev/kvm opens, but trying it crashed";
    else if (verdict->step[0] != '\0')
      problem = std::string("cannot ") + verdict->step + (verdict->error != 0 ? std::string(": ") + ::strerror(verdict->error) : "");
    else if (verdict->loop_us >= loop_limit_us)
      problem = "/dev/kvm opens, but 100000 loops took " + std::to_string(verdict->loop_us / 1000) + " ms instead of less than one";
  }
  ::munmap(shared, sizeof(Verdict));
  return problem;
#else
  return {};
#endif
}

std::int64_t counter_khz(const Host& host) {
  const std::string file = std::string(host.runtime_dir()) + "/counter-khz", boot = boot_id();
  const std::string known = contents(file, 256);
  if (known.size() > boot.size() && known.compare(0, boot.size(), boot) == 0) return std::atoll(known.c_str() + boot.size());
  const std::int64_t khz = measured_counter_khz();
  try {
    replace_file(file, boot + std::to_string(khz) + "\n");
  } catch (const std::exception&) {
    // Then the next one measures again.
  }
  return khz;
}

}  // namespace kortex::microvm
