#pragma once

#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include <kortex/runtime.h>

namespace sabotage {

/// Whether that is what is to be wrong.
[[nodiscard]] bool is(const char* name);

/// The runtime that is sabotaged.
[[nodiscard]] const kortex_plugin& honest();

/// Marks in the instance's directory.
[[nodiscard]] bool has_mark(const kortex_ref*, const char* name);
void mark(const kortex_ref*, const char* name);
void unmark(const kortex_ref*, const char* name);

kortex_status refuse(const kortex_call*, kortex_status, const char* message);

// Of the agent and what it is connected to; `call` is the host's, `twisted` the one to hand on.
kortex_status start_agent(kortex_runtime*, const kortex_call* call, const kortex_call* twisted, const kortex_ref*, const kortex_start_args*);
void kill_main_process(kortex_runtime*, const kortex_call*, const kortex_ref*);
kortex_status run_program(kortex_runtime*, const kortex_call*, const kortex_ref*, const kortex_exec_args*, kortex_exit*);
kortex_status show_session(kortex_runtime*, const kortex_call*, const kortex_ref*, const kortex_exec_args*, kortex_exit*);
kortex_status show_logs(kortex_runtime*, const kortex_call*, const kortex_ref*, const kortex_logs_args*);
kortex_status await_end(kortex_runtime*, const kortex_call*, const kortex_ref*, kortex_exit*);

}  // namespace sabotage
