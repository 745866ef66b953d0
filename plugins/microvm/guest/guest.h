/* The guest's first program: its parts, and what they know of each other.
 *   init.c      life: from the kernel's first process to the last
 *   modules.c   the kernel modules that were put beside it, and the devices they bring
 *   settings.c  what this instance is to be, as the plugin wrote it down
 *   root.c      the agent's file system, from shares, images and the writable disk
 *   network.c   the one interface
 *   agent.c     the agent's start: what the plugin says to the session holder, before there is anybody to say it
 *   bridge.c    sessions: between the virtio ports and the session holder
 * Whatever fails here is said on the console, and ends the machine: the plugin reads it there. */
#ifndef KORTEX_MICROVM_GUEST_H
#define KORTEX_MICROVM_GUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SHARE "/share"                  /* in the initramfs: what the host shares */
#define SESSION_DIRECTORY "/run/kortex" /* in the agent's root */
#define SESSION_SOCKET SESSION_DIRECTORY "/session.sock"

/* init.c */
_Noreturn void die(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_errno(const char *what, const char *which);
int64_t now_ms(void);
struct life {
  pid_t holder;  /* 0: it has ended */
  int status_fd; /* its story, on the host */
  bool agent_ended; /* and was left to us by a holder that was killed */
  int agent_code;
};
bool life_reap(struct life *); /* false: the holder has ended */

/* modules.c */
void modules_load(const char *group);
/* The virtio ports, which the kernel makes a moment after loading their driver, and when QEMU plugs in another. */
int ports_watch(void);                         /* to be polled, before looking for the first */
bool port_appeared(int watch, unsigned *number); /* false: no more for now */
int port_open(unsigned number);                /* -1: it is not there */
/* The block device that QEMU was told to call so, in `path`. */
void block_device(const char *serial, char *path, size_t size);

/* settings.c: pairs of strings, in the order they were written */
struct setting {
  const char *key, *value;
};
extern struct setting *settings;
extern size_t setting_count;
char *read_whole(const char *path, size_t *size);
void settings_read(const char *path);
const char *setting(const char *key); /* dies without it */
const char *setting_or(const char *key, const char *fallback);
long setting_number(const char *key);

/* root.c */
void disk_mount(void);
void root_prefetch(const char *program); /* of the share's root: when it is run, it is here */
void root_build(void);                   /* afterwards "/" is the agent's */
void first_root_forget(const char *name); /* a file of the initramfs: after root_build() nobody else can open it */
void root_seal(void);                    /* before the machine ends: everything is on its disk */

/* network.c */
void network_up(void);

/* agent.c: says `message` to the holder; returns when the agent runs, dies when it cannot */
void agent_start(const char *message, size_t size);

/* bridge.c: serves sessions until the holder has ended and its clients have their last bytes */
void bridge_serve(struct life *, unsigned ports);

#endif
