#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/orphans.hpp"
#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

int run(Invocation& invocation) {
  Manager manager = invocation.manager();
  const Orphans orphans = manager.orphans();
  Removals removals;
  std::optional<ErrorKind> failed;
  if (invocation.has("force"))
    for (const Orphan& orphan : orphans.found) {
      std::optional<Error>& failure = removals.emplace_back();
      try {
        manager.remove(orphan);
      } catch (const Error& error) {
        if (error.kind() == ErrorKind::cancelled) throw;
        if (!failed) failed = error.kind();
        failure = error;
      }
    }
  Reporter& reporter = invocation.reporter();
  reporter.clear();
  for (const std::string& problem : orphans.problems) reporter.warning(problem);
  if (invocation.json()) {
    invocation.out() << orphans_as_json(orphans, &removals);
  } else if (!invocation.has("force")) {
    invocation.out() << orphans_as_table(orphans.found, invocation.environment().now_ms(), invocation.colours());
    if (!orphans.found.empty()) {
      reporter.notice("nothing was removed yet");
      reporter.hint("kortex-cli prune --force");
    }
  }
  for (std::size_t i = 0; i < removals.size(); ++i) {
    const std::string key = printable(orphans.found[i].instance.key);
    if (removals[i]) reporter.warning("cannot remove " + in_quotes(key) + ": " + removals[i]->message());
    else if (!invocation.json()) invocation.out() << key << "\n";
  }
  if (orphans.found.empty()) reporter.notice("no runtime has anything that a workspace left behind");
  return failed ? static_cast<int>(*failed) : 0;
}

constexpr OptionSpec options[] = {
    {.name = "force", .letter = 'f', .help = "remove them; without it they are only shown"},
};
constexpr Example examples[] = {
    {"kortex-cli prune", "what would be removed"},
    {"kortex-cli prune --force", "removes it, and whatever runs in it ends"},
};

}  // namespace

extern const Command workspace_prune_command;
constinit const Command workspace_prune_command = {
    .noun = "workspace",
    .verb = "prune",
    .summary = "remove instances that no workspace owns any more",
    .description = "Such are left when a record was deleted by hand, or given up with 'remove --force' while its runtime could not "
                   "be asked. Only what was made for this very store counts (runtimes keep its mark with each instance): never what "
                   "other users, other stores or a copy of this one have. Folders of source code are never touched; what an "
                   "instance alone has, such as a copy of the sources on another machine, goes with it.",
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
