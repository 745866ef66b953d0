/* As process 1 of a pid namespace the holder is the root of a sandbox, whoever made it. What engines leave open to those
 * inside, by default or by their version, is shut here for all of them alike. */
#ifndef KORTEX_SESSION_RESTRICT_H
#define KORTEX_SESSION_RESTRICT_H

#include <stdbool.h>

/* For this process and whatever it starts: no keyrings, no user namespaces, no sockets to whoever runs the machine. False: the
 * kernel does not let us, errno says why (EINVAL: it has no filters at all). */
bool restrict_sandbox(void);

#endif
