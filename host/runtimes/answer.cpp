#include "runtimes/answer.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <system_error>

namespace kortex::host {
namespace {

/// More than this goes in a file of memory: a socket would take several turns of both sides.
constexpr std::size_t most_by_socket = 16 * 1024;

/// Sent first, with the descriptors it tells of, in this order.
struct Header {
  std::uint64_t size = 0;
  std::uint8_t in_file = 0, holds = 0;
};

struct HeaderMessage {
  HeaderMessage() : part{&header, sizeof header} {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control.data();
    message.msg_controllen = control.size();
  }
  Header header;
  iovec part;
  alignas(cmsghdr) std::array<char, CMSG_SPACE(2 * sizeof(int))> control{};
  msghdr message{};
};

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category(), "cannot answer a runtime"); }

Fd file_of(const std::string& bytes) {
  Fd file(::memfd_create("answer", MFD_CLOEXEC));
  if (!file) fail();
  for (std::size_t written = 0; written < bytes.size();) {
    const ssize_t n = TEMP_FAILURE_RETRY(::write(file.get(), bytes.data() + written, bytes.size() - written));
    if (n < 0) fail();
    written += static_cast<std::size_t>(n);
  }
  return file;
}

}  // namespace

AnswerSockets AnswerSockets::make() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::system_error(errno, std::generic_category(), "socketpair");
  return {Fd(ends[0]), Fd(ends[1])};
}

void send_answer(const Fd& parent, const Answer& answer) {
  Fd file;
  if (answer.bytes.size() > most_by_socket) file = file_of(answer.bytes);
  HeaderMessage first;
  first.header = {answer.bytes.size(), file ? std::uint8_t{1} : std::uint8_t{0}, answer.held_fd < 0 ? std::uint8_t{0} : std::uint8_t{1}};
  std::array<int, 2> fds{};
  std::size_t count = 0;
  if (file) fds[count++] = file.get();
  if (answer.held_fd >= 0) fds[count++] = answer.held_fd;
  if (count == 0) {
    first.message.msg_controllen = 0;
  } else {
    cmsghdr* const header = CMSG_FIRSTHDR(&first.message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(count * sizeof(int));
    std::memcpy(CMSG_DATA(header), fds.data(), count * sizeof(int));
    first.message.msg_controllen = CMSG_SPACE(count * sizeof(int));
  }
  // Who has died needs no answer.
  const auto sent = [](ssize_t n) {
    if (n < 0 && errno != EPIPE && errno != ECONNRESET) fail();
    return n >= 0;
  };
  if (!sent(TEMP_FAILURE_RETRY(::sendmsg(parent.get(), &first.message, MSG_NOSIGNAL))) || file) return;
  if (!answer.bytes.empty()) (void)sent(TEMP_FAILURE_RETRY(::send(parent.get(), answer.bytes.data(), answer.bytes.size(), MSG_NOSIGNAL)));
}

std::optional<std::string> receive_answer(int child, int cancel_fd, Fd& held) {
  std::array<pollfd, 2> fds{pollfd{child, POLLIN, 0}, pollfd{cancel_fd, POLLIN, 0}};
  while (::poll(fds.data(), fds.size(), -1) < 0)
    if (errno != EINTR) return std::nullopt;
  if (fds[1].revents != 0) return std::nullopt;
  HeaderMessage first;
  if (TEMP_FAILURE_RETRY(::recvmsg(child, &first.message, MSG_CMSG_CLOEXEC | MSG_WAITALL)) != ssize_t{sizeof first.header}) return std::nullopt;
  Fd file;
  if (const cmsghdr* const header = CMSG_FIRSTHDR(&first.message); header != nullptr && header->cmsg_type == SCM_RIGHTS) {
    std::array<int, 2> got{-1, -1};
    std::memcpy(got.data(), CMSG_DATA(header), std::min(sizeof got, header->cmsg_len - CMSG_LEN(0)));
    std::size_t next = 0;
    if (first.header.in_file != 0) file.reset(got[next++]);
    if (first.header.holds != 0) held.reset(got[next]);
  }
  std::string answer(first.header.size, '\0');
  for (std::size_t size = 0; size < answer.size();) {
    char* const to = answer.data() + size;
    const std::size_t left = answer.size() - size;
    const ssize_t n = TEMP_FAILURE_RETRY(file ? ::pread(file.get(), to, left, static_cast<off_t>(size)) : ::recv(child, to, left, 0));
    if (n <= 0) return std::nullopt;
    size += static_cast<std::size_t>(n);
  }
  return answer;
}

}  // namespace kortex::host
