/* The processes that belong to this session: all descendants, since orphans become the holder's children. */
#ifndef KORTEX_SESSION_TREE_H
#define KORTEX_SESSION_TREE_H

/* Asks every process to end: SIGTERM, and to those that ignore it, as interactive shells do, SIGHUP. */
void tree_terminate(void);
/* SIGKILL to every process that exists at this moment. New ones may have been made meanwhile: to be repeated
 * at every SIGCHLD until there are no children left. */
void tree_kill(void);

#endif
