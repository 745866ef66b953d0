#include "programs.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <exception>
#include <sstream>
#include <thread>

#include <kortex/fd.hpp>

namespace kortex::microvm {

std::string find_program(const std::string& name, std::initializer_list<const char*> elsewhere) {
  const char* path = ::getenv("PATH");
  // An ordinary user's PATH often lacks the last two, where mkfs.ext4 is.
  std::istringstream places(std::string(path != nullptr ? path : "") + ":/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin");
  std::string place;
  while (std::getline(places, place, ':')) {
    if (place.empty() || place.front() != '/') continue;
    std::string file = place + "/" + name;
    if (::access(file.c_str(), X_OK) == 0) return file;
  }
  for (const char* file : elsewhere)
    if (::access(file, X_OK) == 0) return file;
  return {};
}

std::string need_program(const std::string& name, const std::string& package, const std::string& why, std::initializer_list<const char*> elsewhere) {
  std::string found = find_program(name, elsewhere);
  if (found.empty()) throw Error(KORTEX_E_UNAVAILABLE, "cannot " + why + ": '" + name + "' is not installed", "apt-get install " + package);
  return found;
}

Virtiofsd find_virtiofsd() {
  for (const char* path : {"/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"})
    if (::access(path, X_OK) == 0) return {path, true};
  return {find_program("virtiofsd", {"/usr/lib/qemu/virtiofsd", "/usr/libexec/qemu/virtiofsd"}), false};
}

std::string qemu_name() {
#if defined(__aarch64__)
  return "qemu-system-aarch64";
#else
  return "qemu-system-x86_64";
#endif
}

std::string qemu_package() {
#if defined(__aarch64__)
  return "qemu-system-arm";
#else
  return "qemu-system-x86";
#endif
}

void run_into(const Call& call, const std::string& what, const std::vector<std::string>& argv, int out_fd) {
  Process process;
  process.argv = argv;
  process.stdout_fd = out_fd;
  const ProcessResult result = call.run(process);
  if (result.exit_code == 0) return;
  std::string reason = result.err.substr(0, result.err.find('\n'));
  if (reason.empty()) reason = "it ended with status " + std::to_string(result.exit_code);
  throw Error(KORTEX_E_BACKEND, "cannot " + what + ": " + reason, {}, result.err);
}

ProcessResult run_fed(const Call& call, const std::vector<std::string>& argv, const std::function<void(int)>& write, int out_fd) {
  Pipe pipe = Pipe::make();
  std::exception_ptr failure;
  std::thread writer([&] {
    sigset_t broken;
    sigemptyset(&broken);
    sigaddset(&broken, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &broken, nullptr);  // it goes with this thread
    try {
      write(pipe.write.get());
    } catch (const std::system_error& error) {
      if (error.code().value() != EPIPE) failure = std::current_exception();
    } catch (...) {
      failure = std::current_exception();
    }
    pipe.write.reset();
  });
  const auto finish = [&] {
    pipe.read.reset();
    writer.join();
  };
  Process process;
  process.argv = argv;
  process.stdin_fd = pipe.read.get();
  process.stdout_fd = out_fd;
  ProcessResult result;
  try {
    result = call.run(process);
  } catch (...) {
    finish();
    throw;
  }
  finish();
  if (failure) std::rethrow_exception(failure);
  return result;
}

}  // namespace kortex::microvm
