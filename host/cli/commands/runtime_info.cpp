#include <kortex/runtime.h>

#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/output/text.hpp"
#include "cli/output/workspace.hpp"

namespace kortex::host {
namespace {

constexpr std::chrono::milliseconds deadline(5000);

/// All that one runtime tells of itself.
struct Told {
  PluginFile file;
  Description description;
  ProbeResult probe;
  std::optional<Guarantees> guarantees;  ///< with the default options
  std::string no_guarantees;             ///< why there are none
};

WorkspaceSpec sample(const Environment& environment, const CompletedOptions& options) {
  WorkspaceSpec spec;
  spec.options = options.instance;
  spec.global_options = options.global;
  spec.source_path = environment.cwd();
  spec.config_path = spec.source_path + "/.kortex";
  spec.target_path = spec.source_path;
  spec.agent_name = "shell";
  spec.agent_argv = {"/bin/sh"};
  return spec;
}

Told ask(Invocation& invocation) {
  Told told;
  told.file = invocation.registry().find(invocation.argument(0));
  const std::chrono::milliseconds given = invocation.timeout();
  const std::chrono::milliseconds limit = given.count() > 0 ? given : deadline;
  const Runtime runtime(told.file, invocation.runtime_context(told.file.name));
  told.description = runtime.describe(limit);
  try {
    const CompletedOptions options = complete_options(told.description, {}, invocation.environment().cwd());
    told.probe = runtime.probe(options.global, limit);
    told.guarantees = runtime.guarantees(sample(invocation.environment(), options), limit);
  } catch (const Error& error) {
    told.no_guarantees = error.message();
    if (!told.probe.usable && told.probe.reason.empty()) told.probe.reason = error.message();
  }
  return told;
}

std::string_view type_name(Option::Type type) {
  switch (type) {
    case Option::Type::string: return "text";
    case Option::Type::boolean: return "true or false";
    case Option::Type::integer: return "number";
    case Option::Type::size: return "size";
    case Option::Type::duration: return "duration";
    case Option::Type::enumeration: return "choice";
    case Option::Type::path: return "path";
  }
  return "text";
}

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all;
}

std::vector<std::string> operations(const Description& description) {
  std::vector<std::string> offered;
  if (description.execs) offered.emplace_back("exec");
  if (description.terminals) offered.emplace_back("terminal");
  if (description.logs) offered.emplace_back("logs");
  if (description.waits) offered.emplace_back("wait");
  if (description.lists) offered.emplace_back("list");
  return offered;
}

std::string remarks(const Option& option) {
  std::string text = option.help;
  if (!option.choices.empty()) text += ": " + joined(option.choices);
  std::vector<std::string> more;
  if (option.required) more.emplace_back("required");
  if (option.repeatable) more.emplace_back("repeatable");
  if (option.secret) more.emplace_back("secret");
  if (option.deprecated) more.emplace_back("deprecated");
  return more.empty() ? text : text + " (" + joined(more) + ')';
}

std::string abi_of(const PluginFile& file) {
  return std::to_string(file.descriptor->abi_major) + '.' + std::to_string(file.descriptor->abi_minor);
}

std::string as_text(const Told& told, bool colours) {
  const Description& description = told.description;
  Fields fields;
  fields.add("name", description.name);
  fields.add("summary", description.summary);
  fields.add("version", description.version);
  fields.add("abi", told.file.descriptor ? abi_of(told.file) : std::string());
  fields.add("file", told.file.path.string() + " (" + told.file.origin + ')');
  fields.add("vendor", description.vendor);
  fields.add("homepage", description.homepage);
  fields.add("license", description.license);
  fields.add("needs root", (description.capabilities & KORTEX_CAP_ROOT_ONLY) != 0 ? "yes" : "");
  fields.add("state", told.probe.usable ? "usable" : "not usable: " + told.probe.reason);
  fields.add("backend", json_in_words(told.probe.details_json, "backend"));
  fields.add("offers", joined(operations(description)));
  if (told.guarantees) {
    fields.add("isolation", to_string(told.guarantees->isolation));
    fields.add("enforces", joined(guarantee_names(told.guarantees->enforces)));
    std::string label = "exposure";
    for (const std::string& text : told.guarantees->exposure) {
      fields.add(label, text);
      label.clear();
    }
  } else {
    fields.add("guarantees", "unknown: " + told.no_guarantees);
  }
  std::string text = fields.render();
  if (description.options.empty()) return text;
  Table table({"OPTION", "TYPE", "DEFAULT", "MEANING"});
  for (const Option& option : description.options)
    table.add({option.name, std::string(type_name(option.type)), option.default_value.value_or("-"), remarks(option)});
  return text + '\n' + table.render(colours);
}

void add_option(JsonText& json, const Option& option) {
  json.begin_object().member("name", option.name).member("type", type_name(option.type)).member("help", option.help);
  if (option.default_value) json.member("default", *option.default_value);
  if (!option.choices.empty()) json.member("choices", option.choices);
  json.member("required", option.required).member("repeatable", option.repeatable).member("secret", option.secret);
  json.member("deprecated", option.deprecated).end_object();
}

std::string as_json(const Told& told) {
  const Description& description = told.description;
  JsonText json;
  json.begin_object().member("schema", std::int64_t{1}).member("name", description.name);
  json.member("description", description.summary).member("version", description.version);
  if (told.file.descriptor) json.member("abi", abi_of(told.file)).member("local", told.file.descriptor->local);
  json.member("path", told.file.path.string()).member("origin", told.file.origin);
  json.member("vendor", description.vendor).member("homepage", description.homepage).member("license", description.license);
  json.member("usable", told.probe.usable);
  if (!told.probe.usable) json.member("reason", told.probe.reason);
  if (!told.probe.details_json.empty()) json.key("backend").document(told.probe.details_json);
  json.member("operations", operations(description));
  if (told.guarantees) {
    json.key("guarantees").begin_object().member("isolation", to_string(told.guarantees->isolation));
    json.member("enforces", guarantee_names(told.guarantees->enforces)).end_object();
    json.member("exposure", told.guarantees->exposure);
  }
  json.key("options").begin_array();
  for (const Option& option : description.options) add_option(json, option);
  json.end_array().end_object();
  return json.take();
}

int run(Invocation& invocation) {
  const Told told = ask(invocation);
  if (invocation.json()) {
    invocation.out() << as_json(told);
    return 0;
  }
  invocation.out() << as_text(told, invocation.colours());
  invocation.reporter().hint(told.probe.hint);
  return 0;
}

constexpr ArgumentSpec arguments[] = {
    {.name = "RUNTIME", .help = "its name", .kind = Kind::runtime},
};
constexpr Example examples[] = {{"kortex-cli runtime info process", ""}};

}  // namespace

extern const Command runtime_info_command;
constinit const Command runtime_info_command = {
    .noun = "runtime",
    .verb = "info",
    .summary = "show a runtime's options, guarantees and backend",
    .description = "Guarantees are those with default options, on this machine, now.",
    .arguments = arguments,
    .examples = examples,
    .run = run,
};

}  // namespace kortex::host
