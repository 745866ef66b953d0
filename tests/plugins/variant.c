/* A plugin that does nothing, with one thing wrong about its file or table: see CMakeLists.txt. */
#include <kortex/runtime.h>
#include <stdlib.h>
#include <unistd.h>

#ifndef NOTE_NAME
#define NOTE_NAME PLUGIN_NAME
#endif
#ifndef TABLE_NAME
#define TABLE_NAME PLUGIN_NAME
#endif
#ifndef TABLE_VERSION
#define TABLE_VERSION "1.2.3"
#endif
#ifndef NOTE_VERSION
#define NOTE_VERSION "1.2.3"
#endif
#ifndef TABLE_MAJOR
#define TABLE_MAJOR KORTEX_ABI_MAJOR
#endif
#ifndef TABLE_SIZE
#define TABLE_SIZE sizeof(kortex_plugin)
#endif
#ifdef NOTE_MAJOR
#undef KORTEX_ABI_MAJOR
#define KORTEX_ABI_MAJOR NOTE_MAJOR
#endif
#ifdef NOTE_MINOR
#undef KORTEX_ABI_MINOR
#define KORTEX_ABI_MINOR NOTE_MINOR
#endif

#ifndef NO_NOTE
#ifndef NOTE_MORE
#define NOTE_MORE ""
#endif
KORTEX_RUNTIME_NOTE_MORE(NOTE_NAME, NOTE_VERSION, "does nothing", NOTE_MORE);
#endif

#ifdef UNDEFINED_SYMBOL
extern int this_symbol_is_nowhere(void);
#define FLAVOUR this_symbol_is_nowhere()
#else
#define FLAVOUR KORTEX_OK
#endif

#ifdef CRASH_ON_LOAD
__attribute__((constructor)) static void crash(void) { abort(); }
#endif

#ifdef CHANGE_DIRECTORY_ON_LOAD
__attribute__((constructor)) static void change_directory(void) {
  if (chdir("/tmp") != 0) abort();
}
#endif
#ifdef EXPORTS_MORE
KORTEX_EXPORT int something_else(void);
int something_else(void) { return 0; }
#endif
#ifdef ODD_OPTION
static const kortex_option odd = {
    .struct_size = sizeof odd, .type = KORTEX_OPT_BOOL, .name = "odd", .help = "is neither", .default_value = "perhaps"};
static const kortex_option *const options[] = {&odd, NULL};
#endif

static kortex_status open_it(const kortex_call *call, const kortex_open_args *args, const kortex_host *host,
                             kortex_runtime **out) {
  (void)call;
  (void)args;
  (void)host;
  *out = NULL;
  return FLAVOUR;
}
static void close_it(kortex_runtime *runtime) { (void)runtime; }
static kortex_status probe(kortex_runtime *runtime, const kortex_call *call) {
  (void)runtime;
  call->result(call, "{\"backend\": \"nothing\"}");
  return KORTEX_OK;
}
static kortex_status guarantees(kortex_runtime *runtime, const kortex_call *call, const kortex_workspace *workspace,
                                kortex_guarantees *out) {
  (void)runtime;
  (void)call;
  (void)workspace;
  (void)out;
  return KORTEX_OK;
}
static kortex_status emit_as(const kortex_call *call, const kortex_ref *ref, kortex_state state) {
  kortex_instance instance = {.struct_size = sizeof instance, .state = state, .key = ref->key, .id = ref->key, .exit_code = -1};
  return call->emit(call, &instance) ? KORTEX_E_CANCELLED : KORTEX_OK;
}
#ifndef NO_CREATE
static kortex_status create(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                            const kortex_create_args *args) {
  (void)runtime;
  (void)args;
  return emit_as(call, ref, KORTEX_STATE_CREATED);
}
#endif
static kortex_status start(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                           const kortex_start_args *args) {
  (void)runtime;
  (void)args;
  return emit_as(call, ref, KORTEX_STATE_RUNNING);
}
static kortex_status stop(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                          const kortex_stop_args *args) {
  (void)runtime;
  (void)args;
  return emit_as(call, ref, KORTEX_STATE_STOPPED);
}
static kortex_status remove_it(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *ref,
                               const kortex_remove_args *args) {
  (void)runtime;
  (void)call;
  (void)ref;
  (void)args;
  return KORTEX_OK;
}
static kortex_status inspect(kortex_runtime *runtime, const kortex_call *call, const kortex_ref *const *refs,
                             size_t count) {
  (void)runtime;
  for (size_t i = 0; i < count; ++i)
    if (emit_as(call, refs[i], KORTEX_STATE_RUNNING)) return KORTEX_E_CANCELLED;
  return KORTEX_OK;
}

static const kortex_plugin table = {
    .struct_size = TABLE_SIZE,
    .abi_major = TABLE_MAJOR,
    .abi_minor = KORTEX_ABI_MINOR,
    .name = TABLE_NAME,
    .version = TABLE_VERSION,
    .summary = "does nothing",
#ifdef ODD_OPTION
    .options = options,
#endif
    .open = open_it,
    .close = close_it,
    .probe = probe,
    .guarantees = guarantees,
#ifndef NO_CREATE
    .create = create,
#endif
    .start = start,
    .stop = stop,
    .remove = remove_it,
    .inspect = inspect,
};

#ifdef NO_ENTRY
KORTEX_EXPORT const kortex_plugin *some_other_entry(void);
const kortex_plugin *some_other_entry(void) { return &table; }
#else
const kortex_plugin *KORTEX_RUNTIME_ENTRY(uint32_t host_abi_minor) {
#ifdef ONE_MINOR_ONLY
  if (host_abi_minor != KORTEX_ABI_MINOR) return NULL;
#endif
  (void)host_abi_minor;
#ifdef NULL_TABLE
  return table.struct_size == 0 ? &table : NULL;
#else
  return &table;
#endif
}
#endif
