/* kortex/runtime.h - the kortex runtime-plugin ABI, major 1.
 *
 * Pure C11 / C++17, no dependency but the C library.  A runtime plugin is ONE shared object,
 *     libkortex-runtime-<name>.so
 * that carries ONE ELF note (.note.kortex: read without running any plugin code) and exports ONE
 * function (kortex_runtime_plugin_v1).  Everything else is reached through the tables below.
 *
 * The smallest plugin, in outline:
 *     KORTEX_RUNTIME_NOTE("echo", "0.1.0", "does nothing, politely");
 *     static const kortex_plugin plugin = { .struct_size = sizeof plugin, ... };
 *     const kortex_plugin *KORTEX_RUNTIME_ENTRY(uint32_t host_abi_minor) { return &plugin; }
 * In C++ use <kortex/runtime.hpp>, which turns a class into all of this.
 *
 * RULES (normative; `kortex-runtime-check` tests them)
 *  R1  Versions.  MAJOR is in the entry symbol's name and in the note; a host loads only majors it
 *      knows.  MINOR only ever appends: fields at the end of structs, new codes, new flags, new
 *      extension ids.  Nothing is ever reordered, retyped or removed inside a major.
 *  R2  struct_size.  Every struct that may grow starts with it.  Whoever FILLS the struct sets it to
 *      sizeof(*it); for an out-parameter (kortex_guarantees, kortex_exit, kortex_process_result) the
 *      CALLER sets it and zeroes the rest.  Whoever reads, or writes into an out-parameter, tests
 *      KORTEX_HAS(type, p, field) before a field newer than minor 0.  Growable structs are passed by
 *      pointer or as arrays of pointers, never as arrays by value.  kortex_kv is frozen for the major.
 *  R3  Strings are NUL-terminated UTF-8 (file system paths: the bytes the system gave).  NULL means
 *      "not given"; "" is a value.  Arrays of strings end with a NULL entry.
 *  R4  Memory.  Nobody frees what the other side allocated.  What is passed INTO a function lives
 *      until it returns (copy it to keep it); results leave a plugin only through kortex_call's
 *      functions, which copy before they return, and through out-parameters.  Longer-lived:
 *      kortex_plugin and all it points to (until the process ends) and kortex_host (from open()
 *      until close() returns).
 *  R5  Errors.  An operation returns KORTEX_OK or a code; before a non-zero return it calls
 *      call->fail() once (`return call->fail(call, code, message, hint, detail);`); a code that
 *      run() returned is passed on as is, and KORTEX_E_CANCELLED needs no fail().  No C++ exception,
 *      Rust panic, longjmp, signal handler, exit() or abort() may leave the plugin.
 *  R6  Threads.  The host may call from any thread but has at most one operation at a time per
 *      kortex_runtime*, unless the plugin sets KORTEX_CAP_CONCURRENT.  All functions of kortex_host
 *      and kortex_call may be called from any thread, the latter only until the operation returns.
 *      A plugin's own threads must not outlive close().
 *  R7  Cancellation.  A long operation polls call->is_cancelled() (or waits on call->cancel_fd) at
 *      least every 100 ms and returns KORTEX_E_CANCELLED with the instance in a state inspect() can
 *      report; start/stop/remove must be safe to repeat afterwards.  deadline_ms is treated alike,
 *      with KORTEX_E_TIMEOUT.
 *  R8  The process belongs to the host.  A plugin does not change the working directory, umask,
 *      environment, locale, signal dispositions or resource limits, does not write to fd 0/1/2,
 *      sets O_CLOEXEC on every descriptor, and starts programs through call->run() (or fork+exec /
 *      posix_spawn of its own).  It is never unloaded.
 *  R9  Idempotency.  create() again with the same key returns the existing instance; start of a
 *      running one, stop of a stopped one and remove of a missing one return KORTEX_OK.
 *  R10 The host runs each operation in a short-lived process.  State lives in the backend or in
 *      ref->state_dir, never in the plugin's memory.
 */
#ifndef KORTEX_RUNTIME_H
#define KORTEX_RUNTIME_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------- versions ------------------ */

#define KORTEX_ABI_MAJOR 1
#define KORTEX_ABI_MINOR 0
/* The oldest host minor this plugin runs on. Default: the one it was compiled against. A plugin that
 * guards newer fields with KORTEX_HAS() may lower it (define it before including this header). */
#ifndef KORTEX_MIN_HOST_MINOR
#define KORTEX_MIN_HOST_MINOR KORTEX_ABI_MINOR
#endif
#define KORTEX_RUNTIME_ENTRY kortex_runtime_plugin_v1
#define KORTEX_RUNTIME_ENTRY_NAME "kortex_runtime_plugin_v1"

#define KORTEX_HAS(type, p, field) \
  ((size_t)(p)->struct_size >= offsetof(type, field) + sizeof(((type *)0)->field))

#define KORTEX_EXPORT __attribute__((visibility("default")))

/* ---------------------------------------------------------------- codes --------------------- */

typedef int32_t kortex_status;
enum {
  KORTEX_OK = 0,
  KORTEX_E_FAILED = 1,       /* anything else */
  KORTEX_E_INVALID = 2,      /* an argument, option or the configuration is wrong */
  KORTEX_E_NOT_FOUND = 3,    /* instance, image or file is not there */
  KORTEX_E_EXISTS = 4,       /* a different instance has this name */
  KORTEX_E_STATE = 5,        /* not possible in the instance's present state */
  KORTEX_E_UNSUPPORTED = 6,  /* this runtime cannot do it */
  KORTEX_E_UNAVAILABLE = 7,  /* backend is not installed or not running */
  KORTEX_E_PERMISSION = 8,
  KORTEX_E_TIMEOUT = 9,
  KORTEX_E_CANCELLED = 10,
  KORTEX_E_BUSY = 11,        /* try again */
  KORTEX_E_RESOURCE = 12,    /* memory, disk, quota */
  KORTEX_E_BACKEND = 13,     /* backend said no; detail holds what it said */
  KORTEX_E_INTERNAL = 14     /* a bug in the plugin */
  /* unknown positive codes are shown as FAILED; 1000.. are a plugin's own */
};

typedef int32_t kortex_state;
enum {
  KORTEX_STATE_UNKNOWN = 0,
  KORTEX_STATE_CREATED = 1,
  KORTEX_STATE_STARTING = 2,
  KORTEX_STATE_RUNNING = 3,
  KORTEX_STATE_PAUSED = 4,
  KORTEX_STATE_STOPPING = 5,
  KORTEX_STATE_STOPPED = 6,
  KORTEX_STATE_FAILED = 7,
  KORTEX_STATE_GONE = 8 /* asked for, but the backend has no such instance */
};

typedef int32_t kortex_log_level;
enum { KORTEX_LOG_TRACE, KORTEX_LOG_DEBUG, KORTEX_LOG_INFO, KORTEX_LOG_WARN, KORTEX_LOG_ERROR };

typedef int32_t kortex_stream;
enum { KORTEX_STREAM_STDOUT = 1, KORTEX_STREAM_STDERR = 2 };

/* What a plugin is like. What it can do is told by which functions are not NULL. */
enum {
  KORTEX_CAP_CONCURRENT = 1 << 0, /* operations may run at once on one kortex_runtime* */
  KORTEX_CAP_ROOT_ONLY = 1 << 1,  /* needs euid 0 */
  KORTEX_CAP_NO_SOURCE = 1 << 2   /* create() takes no source path */
};

/* ---------------------------------------------------------------- shared types -------------- */

typedef struct kortex_host kortex_host;
typedef struct kortex_call kortex_call;
typedef struct kortex_runtime kortex_runtime; /* the plugin's own; opaque to the host */

typedef struct kortex_kv { /* frozen */
  const char *key;
  const char *value;
} kortex_kv;

/* One instance, as the host knows it. */
typedef struct kortex_ref {
  uint32_t struct_size;
  uint32_t reserved;
  const char *key;       /* host-made, [a-z0-9-]{1,63}, never reused: label backend objects with it */
  const char *id;        /* what create() emitted; NULL before that */
  const char *name;      /* the user's name for it: any UTF-8 without '/' and control characters */
  const char *state_dir; /* this instance's own directory: absolute, exists, mode 0700, removed by
                          * the host after remove(). May be longer than a socket address can hold:
                          * reach sockets in it through /proc/self/fd/<dirfd>/<name>. */
} kortex_ref;

/* A TCP port of the instance that can be reached from the host's machine. */
typedef struct kortex_forward {
  uint32_t struct_size;
  uint16_t target; /* in the instance */
  uint16_t port;   /* on the host's machine */
  const char *bind; /* address on the host's machine, e.g. "127.0.0.1" */
} kortex_forward;

/* One instance, as the backend sees it. */
typedef struct kortex_instance {
  uint32_t struct_size;
  kortex_state state;
  const char *key;  /* NULL only for list() results that no kortex host made */
  const char *id;   /* backend id, stable for the instance's life */
  const char *name; /* may be NULL */
  const char *status; /* one human line, e.g. "Up 3 minutes"; may be NULL */
  int64_t pid;        /* of the instance's main process on this machine; 0: none or unknown */
  int64_t created_ms, started_ms, finished_ms; /* Unix time in ms; 0: unknown */
  int32_t exit_code;  /* of the agent when STOPPED or FAILED: 0..255 or 128+signal; -1: unknown */
  uint32_t label_count;
  const kortex_kv *labels;
  const char *details_json; /* a JSON object with anything else, stored and shown by `show`; or NULL */
  uint32_t forward_count;
  uint32_t reserved;
  const kortex_forward *const *forwards;
} kortex_instance;

/* A `--runtime-option key=value` the plugin takes. The host checks and completes them. */
typedef int32_t kortex_option_type;
enum {
  KORTEX_OPT_STRING,
  KORTEX_OPT_BOOL,     /* given to the plugin as "true" or "false" */
  KORTEX_OPT_INT,
  KORTEX_OPT_SIZE,     /* written 512MiB, 2G, 100000; given as bytes in decimal */
  KORTEX_OPT_DURATION, /* written 30s, 5m, 250ms; given as milliseconds in decimal */
  KORTEX_OPT_ENUM,
  KORTEX_OPT_PATH      /* given absolute */
};
enum {
  KORTEX_OPT_REQUIRED = 1 << 0,
  KORTEX_OPT_REPEATABLE = 1 << 1,
  KORTEX_OPT_SECRET = 1 << 2,     /* never logged, shown or stored */
  KORTEX_OPT_DEPRECATED = 1 << 3,
  KORTEX_OPT_GLOBAL = 1 << 4      /* of the runtime (given to open), not of one instance (create) */
};
typedef struct kortex_option {
  uint32_t struct_size;
  kortex_option_type type;
  uint32_t flags;
  uint32_t reserved;
  const char *name;               /* [a-z][a-z0-9-]* */
  const char *help;               /* one line */
  const char *default_value;      /* NULL: none */
  const char *const *choices;     /* NULL-terminated, for ENUM */
  int64_t min_value, max_value;   /* for INT/SIZE/DURATION when min < max; the given unit */
} kortex_option;

/* ---------------------------------------------------------------- the workspace ------------- */

enum {
  KORTEX_MOUNT_READ_ONLY = 1 << 0,
  KORTEX_MOUNT_OPTIONAL = 1 << 1 /* skip it when host_path does not exist */
};
typedef struct kortex_mount {
  uint32_t struct_size;
  uint32_t flags;
  const char *host_path; /* absolute; a file or a directory */
  const char *target;    /* absolute, in the instance */
} kortex_mount;

typedef struct kortex_port {
  uint32_t struct_size;
  uint16_t target;    /* in the instance */
  uint16_t host_port; /* 0: the runtime chooses a free one and reports it in kortex_forward */
  const char *bind;   /* NULL: "127.0.0.1" */
} kortex_port;

typedef int32_t kortex_network_mode;
enum {
  KORTEX_NETWORK_ALLOW = 0,
  KORTEX_NETWORK_DENY = 1 /* nothing but `allowed_hosts`; none given: no network at all */
};

/* Everything the configuration asks of the runtime, resolved and checked by the host: variables are
 * expanded, paths absolute, and nothing in it is beyond what guarantees() said it enforces. The same
 * values are passed to guarantees(), create() and start(); the host stores them, a plugin need not. */
typedef struct kortex_workspace {
  uint32_t struct_size;
  uint32_t option_count;
  const kortex_kv *options;  /* --runtime-option, checked, defaults filled in, repeatable ones repeated.
                              * SECRET ones are present in create() only. */
  const char *source_path;   /* absolute; NULL only with KORTEX_CAP_NO_SOURCE */
  const char *config_path;   /* absolute directory of workspace.json; may not exist */
  const char *target_path;   /* where the sources appear in the instance; the agent's directory */
  const char *project;       /* NULL: none */
  const char *agent_name;
  const char *const *agent_argv; /* never empty */
  uint32_t env_count;        /* what the configuration states literally; the full environment, with */
  uint32_t label_count;      /* what is passed on by name, comes with start() and exec() */
  const kortex_kv *env;
  const kortex_kv *labels;   /* put them on backend objects beside the key */
  const kortex_mount *const *mounts;
  const kortex_port *const *ports;
  uint32_t mount_count;
  uint32_t port_count;
  kortex_network_mode network;
  uint32_t allowed_host_count;
  const char *const *allowed_hosts; /* with DENY: host names or CIDRs that stay reachable */
  int64_t cpus_milli;        /* 1500 = one and a half processors; 0: no limit asked for */
  int64_t memory_bytes;      /* 0: no limit asked for */
  int64_t processes;         /* 0: no limit asked for */
  const char *image;         /* NULL: the runtime's default */
  const char *build_context; /* absolute directory; NULL: no build */
  const char *build_file;    /* absolute; NULL: the builder's default in the context */
  int64_t uid, gid;          /* files made in the sources should belong to them on the host; -1: no wish */
} kortex_workspace;

/* What a runtime enforces for a workspace with the given options on this machine now. The host
 * compares it with what the configuration and --require ask and refuses before create(). State
 * nothing that is only hoped for: `kortex-runtime-check` tries every bit from inside an instance. */
typedef int32_t kortex_isolation;
enum {
  KORTEX_ISOLATION_NONE = 0,       /* the agent has the user's own rights */
  KORTEX_ISOLATION_PROCESS = 10,   /* host kernel and userland, own view of files, processes, users */
  KORTEX_ISOLATION_CONTAINER = 20, /* host kernel, own userland */
  KORTEX_ISOLATION_MICROVM = 30    /* own kernel */
};
enum {
  KORTEX_GUARANTEE_NETWORK_ALLOW = 1 << 0,      /* `allow`: the agent reaches what the host reaches */
  KORTEX_GUARANTEE_NETWORK_DENY = 1 << 1,       /* `deny` without hosts: no route at all */
  KORTEX_GUARANTEE_NETWORK_DENY_HOSTS = 1 << 2, /* `deny` with hosts: just those */
  KORTEX_GUARANTEE_HOST_LOOPBACK = 1 << 3,      /* `allow` does not reach the host's own loopback */
  KORTEX_GUARANTEE_MOUNTS = 1 << 4,
  KORTEX_GUARANTEE_READ_ONLY_MOUNTS = 1 << 5,
  KORTEX_GUARANTEE_PORTS = 1 << 6,
  KORTEX_GUARANTEE_CPUS = 1 << 7,
  KORTEX_GUARANTEE_MEMORY = 1 << 8,
  KORTEX_GUARANTEE_PROCESSES = 1 << 9,
  KORTEX_GUARANTEE_IMAGE = 1 << 10,
  KORTEX_GUARANTEE_BUILD = 1 << 11,
  KORTEX_GUARANTEE_TTY = 1 << 12,    /* exec/terminal honour KORTEX_EXEC_TTY */
  KORTEX_GUARANTEE_DETACH = 1 << 13  /* terminal(argv NULL) can be left and entered again */
};
typedef struct kortex_guarantees { /* out-parameter */
  uint32_t struct_size;
  kortex_isolation isolation;
  uint64_t enforces; /* KORTEX_GUARANTEE_* */
} kortex_guarantees;

/* ---------------------------------------------------------------- host services ------------- */

/* Lives from open() to close(). */
struct kortex_host {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor; /* of the host */
  const char *name, *version;
  void *ctx;                     /* the host's own */
  const char *state_dir;         /* this plugin's directories: exist, mode 0700 */
  const char *cache_dir;
  const char *runtime_dir;       /* does not survive a reboot; short enough for sockets */
  const char *session_program;   /* the installed session holder (see <kortex/session.hpp>), a static
                                  * program for this machine's architecture; NULL: not installed */
  void (*log)(const kortex_host *, kortex_log_level, const char *message);
  /* NULL when the host has none: "kortex.host.<name>/<n>" */
  const void *(*extension)(const kortex_host *, const char *id);
};

/* Starting a program. By default: own process group, stdin /dev/null, stdout and stderr captured,
 * killed with its whole group when the call is cancelled or its deadline passes. */
enum {
  KORTEX_RUN_FOREGROUND = 1 << 0, /* give it our terminal (exec/terminal only) and pass signals on */
  KORTEX_RUN_DETACH = 1 << 1,     /* own session, outlives us; result->pid is it */
  KORTEX_RUN_STREAM = 1 << 2,     /* hand its output to call->output() as it comes, keep none */
  KORTEX_RUN_MERGE = 1 << 3       /* stderr into stdout */
};
typedef struct kortex_process {
  uint32_t struct_size;
  uint32_t flags;
  const char *const *argv;     /* NULL-terminated; argv[0] is looked up in PATH */
  const char *const *env_add;  /* "K=V", NULL-terminated; NULL: none */
  const char *cwd;             /* NULL: "/" */
  const char *input;           /* written to stdin, input_size bytes; NULL: none */
  size_t input_size;
  int32_t timeout_ms;          /* 0: until the call's deadline */
  int32_t stdin_fd, stdout_fd, stderr_fd; /* -1: as above */
  int32_t reserved;
} kortex_process;
typedef struct kortex_process_result { /* out-parameter */
  uint32_t struct_size;
  int32_t exit_code;   /* 0..255, or 128+signal */
  int64_t pid;
  const char *out;     /* captured, NUL-terminated, the host's, valid until this operation returns */
  size_t out_size;
  const char *err;
  size_t err_size;
} kortex_process_result;

/* Lives for one operation. */
enum {
  KORTEX_CALL_INTERACTIVE = 1 << 0, /* a person watches: stderr is a terminal */
  KORTEX_CALL_VERBOSE = 1 << 1
};
struct kortex_call {
  uint32_t struct_size;
  uint32_t flags;
  const kortex_host *host;
  void *ctx;            /* the host's own */
  int64_t deadline_ms;  /* CLOCK_MONOTONIC; -1: none */
  int32_t cancel_fd;    /* readable once cancelled, never to be read from; -1: none */
  int32_t resize_fd;    /* exec/terminal: one byte for each change of the terminal's size; -1: none */
  int32_t signal_fd;    /* exec/terminal: one byte, the signal's number, for each signal that is to be
                         * passed on to the program; -1: none */
  int32_t reserved;
  /* Records the error and returns `code`. message: one line, lower case, no final dot, tells what
   * failed; hint: what the user can do, best a command to type, or NULL; detail: raw backend output,
   * or NULL. */
  kortex_status (*fail)(const kortex_call *, kortex_status code, const char *message,
                        const char *hint, const char *detail);
  int32_t (*is_cancelled)(const kortex_call *);
  /* phase: "pull", "boot", ...; total < 0: unknown */
  void (*progress)(const kortex_call *, const char *phase, int64_t done, int64_t total,
                   const char *message);
  /* Hands over one instance (create/start/stop: exactly one; inspect: one per ref; list: any).
   * Non-zero: stop now and return KORTEX_E_CANCELLED. */
  int32_t (*emit)(const kortex_call *, const kortex_instance *);
  /* Hands over bytes of logs or of a program's output. Non-zero: stop now. */
  int32_t (*output)(const kortex_call *, kortex_stream, const void *data, size_t size);
  /* A JSON object that answers probe(), guarantees() or an extension; at most once. */
  void (*result)(const kortex_call *, const char *json);
  /* KORTEX_OK when the program ran, whatever its exit code; UNAVAILABLE when it is not installed. */
  kortex_status (*run)(const kortex_call *, const kortex_process *, kortex_process_result *);
};

/* ---------------------------------------------------------------- operations ---------------- */

typedef struct kortex_open_args {
  uint32_t struct_size;
  uint32_t option_count;
  const kortex_kv *options; /* the GLOBAL ones, checked, defaults filled in */
} kortex_open_args;

typedef struct kortex_create_args {
  uint32_t struct_size;
  uint32_t flags;
  const kortex_workspace *workspace;
} kortex_create_args;

typedef struct kortex_start_args {
  uint32_t struct_size;
  uint32_t flags;
  const kortex_workspace *workspace;
  const char *const *env; /* "K=V": the agent's, beside what the runtime itself sets (HOME, PATH, ...).
                           * Holds values of the user's environment: never store or log them. */
} kortex_start_args;

enum { KORTEX_STOP_KILL = 1 << 0 /* no grace */ };
typedef struct kortex_stop_args {
  uint32_t struct_size;
  uint32_t flags;
  int32_t grace_ms; /* from SIGTERM to the agent until everything is killed; -1: the runtime's default */
  int32_t reserved;
} kortex_stop_args;

enum { KORTEX_REMOVE_FORCE = 1 << 0 /* also when running */ };
typedef struct kortex_remove_args {
  uint32_t struct_size;
  uint32_t flags;
} kortex_remove_args;

/* How a program or a session ended. Detaching is not an error. */
typedef int32_t kortex_end;
enum {
  KORTEX_END_EXITED = 0,   /* `code` is its status, or 128+signal when a signal ended it */
  KORTEX_END_DETACHED = 1, /* the user left; it runs on */
  KORTEX_END_STOPPED = 2   /* the instance was stopped while the session was open; `code` as above */
};
typedef struct kortex_exit { /* out-parameter */
  uint32_t struct_size;
  kortex_end how;
  int32_t code;
  int32_t reserved;
} kortex_exit;

enum { KORTEX_EXEC_TTY = 1 << 0 };
typedef struct kortex_exec_args {
  uint32_t struct_size;
  uint32_t flags;
  const char *const *argv; /* NULL-terminated. terminal(): NULL = attach to the agent's own session */
  const char *const *env;  /* "K=V", NULL-terminated; NULL: none. As in kortex_start_args. */
  const char *cwd, *user;  /* NULL: the sources' target path; the instance's own user */
  int32_t stdin_fd, stdout_fd, stderr_fd; /* the host's; -1: none. With TTY a terminal that the host has
                            * put into raw mode and restores; its size is asked of stdout_fd, then stdin_fd. */
  uint16_t rows, cols;     /* with TTY: the size to have before the program's first byte; 0: unknown */
  const char *detach_keys; /* terminal() with argv NULL: the bytes that leave the session; NULL: none */
} kortex_exec_args;

enum { KORTEX_LOGS_FOLLOW = 1 << 0, KORTEX_LOGS_TIMESTAMPS = 1 << 1 };
typedef struct kortex_logs_args {
  uint32_t struct_size;
  uint32_t flags;
  int64_t tail;     /* lines from the end; -1: all */
  int64_t since_ms; /* Unix time; 0: from the start */
} kortex_logs_args;

/* The plugin's table: constant, lives until the process ends. */
typedef struct kortex_plugin {
  uint32_t struct_size;
  uint16_t abi_major, abi_minor; /* of the header it was compiled with */
  uint64_t capabilities;
  const char *name;     /* [a-z][a-z0-9-]{0,31}: what users type; the same as in the note */
  const char *version;  /* semver of the plugin; the same as in the note */
  const char *summary, *vendor, *homepage, *license; /* all but summary may be NULL */
  const kortex_option *const *options; /* NULL-terminated; NULL: none */

  /* Required. open() is cheap: no program is started and no daemon is contacted in it. */
  kortex_status (*open)(const kortex_call *, const kortex_open_args *, const kortex_host *,
                        kortex_runtime **);
  void (*close)(kortex_runtime *);
  /* Is the backend usable? A result() of {"backend": "podman 4.3.1", ...} is shown by `runtime info`. */
  kortex_status (*probe)(kortex_runtime *, const kortex_call *);
  /* Fills `out` for these options on this machine; changes nothing. A result() of
   * {"exposure": ["the host's network, its loopback included", ...]} says in plain words what of the
   * host the agent can reach. Fails where the options cannot be had here (sandbox not installed). */
  kortex_status (*guarantees)(kortex_runtime *, const kortex_call *, const kortex_workspace *,
                              kortex_guarantees *out);
  kortex_status (*create)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                          const kortex_create_args *);
  /* Starts the instance and the agent in it; returns when the agent's program has been started. */
  kortex_status (*start)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                         const kortex_start_args *);
  kortex_status (*stop)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                        const kortex_stop_args *);
  kortex_status (*remove)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                          const kortex_remove_args *);
  /* One backend round trip for all refs; emits exactly one instance per ref, in any order, GONE where
   * missing. */
  kortex_status (*inspect)(kortex_runtime *, const kortex_call *, const kortex_ref *const *refs,
                           size_t ref_count);
  /* Optional: NULL when not supported. */
  kortex_status (*list)(kortex_runtime *, const kortex_call *); /* all the backend has with a key */
  /* Runs a program in a running instance; without TTY a clean pipe: end of stdin is passed on, bytes
   * are bytes. Without the host at the other end (it died) the program is ended, not left behind. */
  kortex_status (*exec)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                        const kortex_exec_args *, kortex_exit *out);
  kortex_status (*terminal)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                            const kortex_exec_args *, kortex_exit *out);
  kortex_status (*logs)(kortex_runtime *, const kortex_call *, const kortex_ref *,
                        const kortex_logs_args *);
  /* Returns when the agent has ended; at once when it is not running. `code` is -1 where it is not known
   * (it never ran, or nobody saw it end). */
  kortex_status (*wait)(kortex_runtime *, const kortex_call *, const kortex_ref *, kortex_exit *out);
  /* "kortex.runtime.<name>/<n>", or a vendor's own "com.example.<name>/<n>"; NULL: not supported */
  const void *(*extension)(const char *id);
} kortex_plugin;

typedef const kortex_plugin *(*kortex_runtime_entry)(uint32_t host_abi_minor);
KORTEX_EXPORT const kortex_plugin *KORTEX_RUNTIME_ENTRY(uint32_t host_abi_minor);

/* ---------------------------------------------------------------- the ELF note -------------- */
/* Owner "kortex", type KORTEX_NOTE_TYPE, 8 fixed bytes, then NUL-terminated JSON: an object with
 * "name", "version", "summary" and, for runtimes whose instances are on another machine,
 * "local": false; one that only pretends, for tests, says "test": true and is proposed last.
 * "options": {"name": ["value", ...], ...} names all options of the table, with the values of those
 * that have choices, and [] for the others: a shell completes them, without running the plugin.
 * Readers ignore members they do not know. A plugin that serves several majors has one note and one
 * entry point per major.
 *   readelf -p .note.kortex libkortex-runtime-podman.so                                          */
#if defined(__APPLE__)
#define KORTEX_NOTE_SECTION "__TEXT,__kortex_note"
#else
#define KORTEX_NOTE_SECTION ".note.kortex"
#endif
#define KORTEX_NOTE_OWNER "kortex"
#define KORTEX_NOTE_TYPE 0x4b580001u

#define KORTEX_NOTE_JSON_(name, version, summary, more) \
  "{\"name\":\"" name "\",\"version\":\"" version "\",\"summary\":\"" summary "\"" more "}"
/* Once per plugin, at file scope, with a semicolon; the arguments are string literals without quotes
 * or backslashes. */
#define KORTEX_RUNTIME_NOTE(name_, version_, summary_) \
  KORTEX_RUNTIME_NOTE_MORE(name_, version_, summary_, "")
/* The same with further members: ",\"local\":false". */
#define KORTEX_RUNTIME_NOTE_MORE(name_, version_, summary_, more_)                                  \
  static const struct {                                                                             \
    uint32_t namesz, descsz, type;                                                                  \
    char owner[8];                                                                                  \
    uint16_t abi_major, abi_minor, min_host_minor, reserved;                                        \
    char json[sizeof(KORTEX_NOTE_JSON_(name_, version_, summary_, more_))];                         \
  } kortex_note_ __attribute__((section(KORTEX_NOTE_SECTION), used, aligned(4))) = {                \
      sizeof(KORTEX_NOTE_OWNER),                                                                    \
      8 + sizeof(KORTEX_NOTE_JSON_(name_, version_, summary_, more_)),                              \
      KORTEX_NOTE_TYPE,                                                                             \
      KORTEX_NOTE_OWNER,                                                                            \
      KORTEX_ABI_MAJOR,                                                                             \
      KORTEX_ABI_MINOR,                                                                             \
      KORTEX_MIN_HOST_MINOR,                                                                        \
      0,                                                                                            \
      KORTEX_NOTE_JSON_(name_, version_, summary_, more_)}

#ifdef __cplusplus
} /* extern "C" */
#endif
#endif /* KORTEX_RUNTIME_H */
