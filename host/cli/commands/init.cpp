#include <filesystem>

#include "cli/answers.hpp"
#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/text.hpp"
#include "cli/output/workspace.hpp"
#include "cli/runtime_states.hpp"
#include "cli/values.hpp"

namespace kortex::host {
namespace {

bool starts_at_once(const Invocation& invocation) {
  if (invocation.has("start") && invocation.has("no-start"))
    throw Error(ErrorKind::usage, "options '--start' and '--no-start' contradict each other", "give one of them");
  if (invocation.has("start")) return true;
  if (invocation.has("no-start")) return false;
  const std::optional<std::string> given = invocation.environment().variable("KORTEX_CLI_INIT_AUTO_START");
  return given && parse_boolean(*given, "KORTEX_CLI_INIT_AUTO_START");
}

Workspace as_workspace(const Record& record) {
  Workspace workspace;
  workspace.entry.id = record.id;
  workspace.entry.name = record.name;
  workspace.entry.record = record;
  workspace.state = record.state;
  return workspace;
}

/// What $SOURCES stands for in an agent's mounts. A folder that is not there is init's error to tell.
std::string resolved(const Environment& environment, const std::string& sources) {
  std::error_code missing;
  const std::filesystem::path path = std::filesystem::path(environment.cwd()) / sources;
  const std::filesystem::path real = std::filesystem::canonical(path, missing);
  return missing ? path.lexically_normal().string() : real.string();
}

void answer(Invocation& invocation, const InitResult& result, const InitRequest& request) {
  const Record& record = result.record;
  Stream& out = invocation.out();
  const Workspace workspace = as_workspace(record);
  if (!invocation.verbose()) {
    answer_with(invocation, record.id, record.name);
  } else if (invocation.json()) {
    JsonText json;
    add_workspace(json, summary_of(workspace.entry), workspace);
    out << json.take();
  } else {
    out << shown_as_text(workspace, invocation.environment().now_ms());
  }
  if (invocation.json()) return;
  if (request.dry_run)
    invocation.reporter().notice("nothing was registered: --dry-run");
  else if (invocation.environment().err_tty && record.state != State::running)
    invocation.reporter().hint("kortex-cli terminal " + shell_word(record.name));
}

int run(Invocation& invocation) {
  const Environment& environment = invocation.environment();
  InitRequest request;
  if (!invocation.arguments().empty()) request.sources = invocation.argument(0);
  request.start = starts_at_once(invocation);
  const std::optional<std::string> runtime = invocation.option("runtime");
  request.runtime = runtime ? *runtime : environment.variable("KORTEX_CLI_DEFAULT_RUNTIME").value_or(std::string());
  request.agent = invocation.option("agent");
  if (!request.agent) request.agent = environment.variable("KORTEX_CLI_DEFAULT_AGENT");
  request.name = invocation.option("name");
  request.project = invocation.option("project");
  request.model = invocation.option("model");
  request.configuration_directory = invocation.option("workspace-configuration");
  request.runtime_options = parse_pairs(invocation.options("runtime-option"), "'--runtime-option'", Bare::refused);
  request.require = parse_pairs(invocation.options("require"), "'--require'", Bare::is_true);
  request.dry_run = invocation.has("dry-run");
  if (request.runtime.empty()) throw no_runtime_named(invocation, request.sources);
  if (const std::optional<Error> missing = no_such_runtime(invocation, request.runtime, request.sources)) throw Error(*missing);

  Manager manager = invocation.manager(resolved(environment, request.sources));
  const InitResult result = manager.init(request);
  for (const std::string& warning : result.warnings) invocation.reporter().warning(warning);
  warn_if_not_isolated(invocation, result.record, "the agent has");
  answer(invocation, result, request);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "SOURCES", .help = "the folder of source code (default: the working directory)", .kind = Kind::directory,
     .required = false},
};
constexpr OptionSpec options[] = {
    {.name = "runtime", .letter = 'r', .value = "RUNTIME", .help = "what to run in; 'kortex-cli runtime list' shows them",
     .kind = Kind::runtime, .variable = "KORTEX_CLI_DEFAULT_RUNTIME"},
    {.name = "agent", .letter = 'a', .value = "AGENT", .help = "what to run; 'kortex-cli agent list' shows them",
     .kind = Kind::agent, .fallback = "the configuration's, or shell", .variable = "KORTEX_CLI_DEFAULT_AGENT"},
    {.name = "name", .letter = 'n', .value = "NAME", .help = "the workspace's name", .fallback = "made of the folder's"},
    {.name = "project", .letter = 'p', .value = "PROJECT", .help = "what it belongs to",
     .fallback = "the git remote, or the folder's name"},
    {.name = "model", .letter = 'm', .value = "MODEL", .help = "the model that the agent is to use"},
    {.name = "workspace-configuration", .value = "DIR", .help = "where workspace.json is", .kind = Kind::directory,
     .fallback = "SOURCES/.kortex"},
    {.name = "runtime-option", .value = "KEY=VALUE",
     .help = "an option of the runtime; 'kortex-cli runtime info RUNTIME' shows them", .kind = Kind::runtime_option, .repeatable = true},
    {.name = "require", .value = "KEY[=VALUE]",
     .help = "refuse unless the runtime enforces this: isolation=container, network=deny, read-only-mounts, memory",
     .repeatable = true},
    {.name = "start", .help = "start it at once", .variable = "KORTEX_CLI_INIT_AUTO_START"},
    {.name = "no-start", .help = "do not start it, whatever KORTEX_CLI_INIT_AUTO_START says"},
    {.name = "dry-run", .help = "check everything, register nothing"},
};
constexpr Example examples[] = {
    {"kortex-cli init --runtime process", "the working directory, with the default agent"},
    {"kortex-cli init -r process -a claude --start ~/src/api", "named 'api', started at once"},
    {"kortex-cli init -r process --require isolation=process .", "refused where the runtime cannot isolate"},
};

}  // namespace

extern const Command init_command;
constinit const Command init_command = {
    .verb = "init",
    .summary = "register a folder as a workspace",
    .description = "Checks the folder, its configuration and the runtime, registers the workspace and lets the runtime "
                   "create what it needs. Prints the workspace's name; with '--output json' its id.\n\n"
                   "The runtime is never guessed, and what was chosen is what runs.",
    .arguments = arguments,
    .options = options,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
