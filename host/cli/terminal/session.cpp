#include "cli/terminal/session.hpp"

#include <algorithm>

#include "cli/answers.hpp"
#include "cli/output/text.hpp"
#include "cli/terminal/raw_mode.hpp"

namespace kortex::host {
namespace {

ExecEnd connect_raw(Invocation& invocation, const ExecRequest& request, const Connect& connect) {
  invocation.reporter().clear();
  const RawMode raw(invocation.environment().in);
  return connect(request, false);
}

/// Starting may take long and must be cancellable with ctrl-c, which raw mode would swallow: so the terminal
/// is raw only while connected, and starting is what follows a first refusal.
ExecEnd connect_with_terminal(Invocation& invocation, Manager& manager, const std::string& workspace,
                              const ExecRequest& request, bool start_first, const Connect& connect) {
  if (!start_first) return connect_raw(invocation, request, connect);
  try {
    return connect_raw(invocation, request, connect);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::wrong_state) throw;
  }
  invocation.reporter().notice("starting " + in_quotes(workspace));
  manager.start(workspace);
  return connect_raw(invocation, request, connect);
}

}  // namespace

int run_session(Invocation& invocation, Manager& manager, const std::string& workspace, ExecRequest request,
                bool start_first, const Connect& connect) {
  const Environment& environment = invocation.environment();
  // Only to people: what programs read on stderr is the program's in the instance.
  if (environment.err_tty)
    if (const Entry entry = manager.store().read(manager.store().resolve(workspace)); entry.record)
      warn_if_not_isolated(invocation, *entry.record, "what runs in it has");
  if (request.tty) {
    const TerminalSize size = terminal_size(environment.out, environment.in);
    request.rows = size.rows;
    request.cols = size.columns;
    const bool given = std::any_of(request.env.begin(), request.env.end(),
                                   [](const std::string& each) { return each.starts_with("TERM="); });
    const std::optional<std::string> terminal = environment.variable("TERM");
    if (!given && terminal) request.env.push_back("TERM=" + *terminal);
  }
  const ExecEnd end = request.tty
                          ? connect_with_terminal(invocation, manager, workspace, request, start_first, connect)
                          : connect(request, start_first);
  switch (end.how) {
    case ExecEnd::How::exited: break;
    case ExecEnd::How::detached:
      invocation.reporter().notice("detached from " + in_quotes(workspace) + "; 'kortex-cli terminal " +
                                   shell_word(workspace) + "' returns");
      return 0;
    case ExecEnd::How::stopped:
      invocation.reporter().notice("workspace " + in_quotes(workspace) + " was stopped");
      break;
  }
  return end.code;
}

}  // namespace kortex::host
