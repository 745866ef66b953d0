#include <errno.h>
#include <kortex/session_protocol.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "guest.h"

static bool receive(int fd, unsigned char *into, size_t size) {
  for (ssize_t n; size; into += n, size -= (size_t)n)
    if ((n = read(fd, into, size)) <= 0) return false;
  return true;
}

void agent_start(const char *message, size_t size) {
  const struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SESSION_SOCKET};
  const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) != 0) die_errno("connect to", "the session holder");
  for (ssize_t n; size; message += n, size -= (size_t)n)
    if ((n = send(fd, message, size, MSG_NOSIGNAL)) <= 0) die_errno("talk to", "the session holder");
  static unsigned char payload[KORTEX_SESSION_PAYLOAD_MAX + 1];
  for (unsigned char header[KORTEX_SESSION_HEADER]; receive(fd, header, sizeof header);) {
    const size_t length = (size_t)header[4] | (size_t)header[5] << 8 | (size_t)header[6] << 16;
    if (length > KORTEX_SESSION_PAYLOAD_MAX || !receive(fd, payload, length)) break;
    payload[length] = 0;
    if (header[0] == KORTEX_SESSION_OK) {
      close(fd);
      return;
    }
    if (header[0] == KORTEX_SESSION_ERROR && length > 4) die("cannot start the agent: %s", (const char *)payload + 4);
  }
  die("the session holder does not start the agent");
}
