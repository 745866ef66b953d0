/* Keeps what the guest's kernel says, as far as that is of use: the last of it. Whoever rules in the guest can write to
 * its console without end, and the file lies on the host's disk.
 *   kortex-microvm-console PIPE_FD FILE_FD     the file is open for appending and reading */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { MOST = 256 << 10, KEPT = 64 << 10 };

static unsigned char last[KEPT];

static void put(int file, const unsigned char *bytes, size_t size) {
  while (size) {
    const ssize_t n = write(file, bytes, size);
    if (n < 0 && errno != EINTR) return; /* a full disk: what comes later may find room */
    if (n <= 0) continue;
    bytes += n;
    size -= (size_t)n;
  }
}

int main(int argc, char **argv) {
  if (argc != 3) return 64;
  const int in = atoi(argv[1]), file = atoi(argv[2]);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  prctl(PR_SET_NAME, "kortex-console");
  for (;;) {
    unsigned char bytes[4096];
    const ssize_t n = read(in, bytes, sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return 0;
    const off_t size = lseek(file, 0, SEEK_END);
    if (size + n > MOST) {
      const ssize_t kept = pread(file, last, KEPT, size > KEPT ? size - KEPT : 0);
      if (ftruncate(file, 0) == 0 && kept > 0) put(file, last, (size_t)kept);
    }
    put(file, bytes, (size_t)n);
  }
}
