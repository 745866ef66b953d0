/* A runtime that leaves a trace whenever any of its code runs: loading it is enough. The tests look for the
 * trace after commands that have no business with it. */
#define _GNU_SOURCE
#include <kortex/runtime.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

KORTEX_RUNTIME_NOTE("witness", "0.1.0", "Tells when it is loaded");

static void leave_trace(const char *what) {
  const char *path = getenv("KORTEX_WITNESS");
  if (path == NULL) return;
  int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (fd < 0) return;
  if (write(fd, what, strlen(what)) < 0) _exit(3);
  close(fd);
}

__attribute__((constructor)) static void loaded(void) { leave_trace("loaded\n"); }

static kortex_status open_it(const kortex_call *call, const kortex_open_args *args, const kortex_host *host,
                             kortex_runtime **out) {
  (void)call, (void)args;
  *out = (kortex_runtime *)(void *)(uintptr_t)host;
  return KORTEX_OK;
}
static void close_it(kortex_runtime *runtime) { (void)runtime; }

static kortex_status probe(kortex_runtime *runtime, const kortex_call *call) {
  (void)runtime, (void)call;
  return KORTEX_OK;
}
static kortex_status guarantees(kortex_runtime *runtime, const kortex_call *call, const kortex_workspace *workspace,
                                kortex_guarantees *out) {
  (void)runtime, (void)call, (void)workspace;
  out->isolation = KORTEX_ISOLATION_NONE;
  out->enforces = KORTEX_GUARANTEE_NETWORK_ALLOW;
  return KORTEX_OK;
}
static kortex_status tell(const kortex_call *call, const kortex_ref *ref) {
  kortex_instance instance = {.struct_size = sizeof instance, .state = KORTEX_STATE_STOPPED, .key = ref->key, .id = ref->key, .exit_code = -1};
  return call->emit(call, &instance) == 0 ? KORTEX_OK : KORTEX_E_CANCELLED;
}
static kortex_status create(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                            const kortex_create_args *args) {
  (void)runtime, (void)args;
  return tell(call, ref);
}
static kortex_status start(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                           const kortex_start_args *args) {
  (void)runtime, (void)ref, (void)args;
  return call->fail(call, KORTEX_E_UNSUPPORTED, "the witness does not start anything", NULL, NULL);
}
static kortex_status stop(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref, const kortex_stop_args *args) {
  (void)runtime, (void)args;
  return tell(call, ref);
}
static kortex_status remove_it(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                               const kortex_remove_args *args) {
  (void)runtime, (void)call, (void)ref, (void)args;
  return KORTEX_OK;
}
static kortex_status inspect(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *const *refs, size_t count) {
  (void)runtime;
  for (size_t i = 0; i < count; ++i)
    if (tell(call, refs[i]) != KORTEX_OK) return KORTEX_E_CANCELLED;
  return KORTEX_OK;
}

static const kortex_plugin table = {
    .struct_size = sizeof table,
    .abi_major = KORTEX_ABI_MAJOR,
    .abi_minor = KORTEX_ABI_MINOR,
    .name = "witness",
    .version = "0.1.0",
    .summary = "Tells when it is loaded",
    .open = open_it,
    .close = close_it,
    .probe = probe,
    .guarantees = guarantees,
    .create = create,
    .start = start,
    .stop = stop,
    .remove = remove_it,
    .inspect = inspect,
};

const kortex_plugin *kortex_runtime_plugin_v1(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  leave_trace("asked\n");
  return &table;
}
