#ifndef KORTEX_SESSION_PEER_H
#define KORTEX_SESSION_PEER_H

#include <stdbool.h>
#include <sys/types.h>

/* Is the other end of an accepted connection root, our own user, or `also`? */
bool peer_is_trusted(int fd, uid_t also);

#endif
