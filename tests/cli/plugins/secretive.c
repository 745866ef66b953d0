/* A runtime with an option that is secret: it tells how long the value is that create() got, and start() fails where it gets one, too. */
#include <kortex/runtime.h>

#include <stdio.h>
#include <string.h>

KORTEX_RUNTIME_NOTE("secretive", "0.1.0", "keeps a secret");

static const kortex_option token = {.struct_size = sizeof token, .type = KORTEX_OPT_STRING, .flags = KORTEX_OPT_SECRET, .name = "token", .help = "is nobody's business"};
static const kortex_option size = {.struct_size = sizeof size, .type = KORTEX_OPT_INT, .name = "size", .help = "is a number"};
static const kortex_option *const options[] = {&token, &size, NULL};

static const char *token_in(const kortex_workspace *workspace) {
  for (uint32_t i = 0; i < workspace->option_count; ++i)
    if (strcmp(workspace->options[i].key, "token") == 0) return workspace->options[i].value;
  return NULL;
}

static kortex_status open_it(const kortex_call *call, const kortex_open_args *args, const kortex_host *host, kortex_runtime **out) {
  (void)call, (void)args, (void)host;
  *out = NULL;
  return KORTEX_OK;
}
static void close_it(kortex_runtime *runtime) { (void)runtime; }
static kortex_status probe(kortex_runtime *runtime, const kortex_call *call) {
  (void)runtime, (void)call;
  return KORTEX_OK;
}
static kortex_status guarantees(kortex_runtime *runtime, const kortex_call *call, const kortex_workspace *workspace, kortex_guarantees *out) {
  (void)runtime;
  if (token_in(workspace) != NULL) return call->fail(call, KORTEX_E_INTERNAL, "guarantees() was told the secret", NULL, NULL);
  out->isolation = KORTEX_ISOLATION_MICROVM;
  out->enforces = KORTEX_GUARANTEE_NETWORK_ALLOW;
  return KORTEX_OK;
}
static kortex_status tell(const kortex_call *call, const kortex_ref *ref, kortex_state state, const char *details) {
  kortex_instance instance = {.struct_size = sizeof instance, .state = state, .key = ref->key, .id = ref->key, .exit_code = -1, .details_json = details};
  return call->emit(call, &instance) == 0 ? KORTEX_OK : KORTEX_E_CANCELLED;
}
static kortex_status create(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref, const kortex_create_args *args) {
  (void)runtime;
  const char *given = token_in(args->workspace);
  if (given == NULL) return call->fail(call, KORTEX_E_INVALID, "create() was not told the secret", NULL, NULL);
  char details[64];
  snprintf(details, sizeof details, "{\"token_length\": %zu}", strlen(given));
  return tell(call, ref, KORTEX_STATE_CREATED, details);
}
static kortex_status start(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref, const kortex_start_args *args) {
  (void)runtime;
  if (token_in(args->workspace) != NULL) return call->fail(call, KORTEX_E_INTERNAL, "start() was told the secret", NULL, NULL);
  return tell(call, ref, KORTEX_STATE_RUNNING, NULL);
}
static kortex_status stop(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref, const kortex_stop_args *args) {
  (void)runtime, (void)args;
  return tell(call, ref, KORTEX_STATE_STOPPED, NULL);
}
static kortex_status remove_it(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref, const kortex_remove_args *args) {
  (void)runtime, (void)call, (void)ref, (void)args;
  return KORTEX_OK;
}
static kortex_status inspect(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *const *refs, size_t count) {
  (void)runtime;
  for (size_t i = 0; i < count; ++i)
    if (tell(call, refs[i], KORTEX_STATE_STOPPED, NULL) != KORTEX_OK) return KORTEX_E_CANCELLED;
  return KORTEX_OK;
}

static const kortex_plugin table = {
    .struct_size = sizeof table,
    .abi_major = KORTEX_ABI_MAJOR,
    .abi_minor = KORTEX_ABI_MINOR,
    .name = "secretive",
    .version = "0.1.0",
    .summary = "keeps a secret",
    .options = options,
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

const kortex_plugin *KORTEX_RUNTIME_ENTRY(uint32_t host_abi_minor) {
  (void)host_abi_minor;
  return &table;
}
