// What a session holder, which an agent may have replaced, sends to the client. The first byte says what the client asks.
#include <kortex/session.hpp>

#include <sys/mman.h>

#include "invariant.hpp"

using namespace kortex;

namespace {

Fd holding(const std::uint8_t* data, std::size_t size) {
  Fd file(::memfd_create("holder", MFD_CLOEXEC));
  fuzz::require(file && ::pwrite(file.get(), data, size, 0) == static_cast<ssize_t>(size), "there is memory");
  return file;
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  Fd answers = holding(data + 1, size - 1);
  const Fd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));
  session::Streams streams;
  streams.out = streams.err = nowhere.get();
  streams.in = (data[0] & 8) != 0 ? nowhere.get() : -1;
  streams.detach_keys = "ctrl-p,ctrl-q";
  try {
    if (data[0] % 8 == 7) {
      (void)session::read_status_file("/proc/self/fd/" + std::to_string(answers.get()));
      return 0;
    }
    session::Client client(std::move(answers), Fd(::fcntl(nowhere.get(), F_DUPFD_CLOEXEC, 3)), 100);
    const session::Program program{{"sh"}, {}, "", false, 0, 0};
    switch (data[0] % 8) {
      case 0: (void)client.status(); (void)client.attach(streams); break;
      case 1: client.start_agent(program); (void)client.attach(streams, true); break;
      case 2: (void)client.follow(streams, [](const session::LogEnd& end) { fuzz::require(end.file < 2, "there are two logs"); }); break;
      case 3: (void)client.run(program, streams); break;
      case 4: (void)client.wait(); break;
      case 5: client.stop(10); break;
      default: (void)client.status(); (void)client.status(); break;
    }
  } catch (const session::Error& error) {
    fuzz::require(*error.what() != '\0' && error.code != KORTEX_OK, "an error says something");
  }
  return 0;
}
