#ifndef KORTEX_SESSION_RELAY_H
#define KORTEX_SESSION_RELAY_H

/* Copies stdin to the socket and the socket to stdout until the socket ends. Returns an exit status. */
int relay(const char *socket_path);
/* Makes the directory of `path` the working directory and returns the name within it: a socket address holds
 * 107 bytes, a path any number. NULL, with errno: it cannot be entered. */
const char *enter_directory_of(const char *path);

#endif
