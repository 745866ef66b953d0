#include "runtimes/runtime.hpp"

#include <algorithm>
#include <array>
#include <memory>

#include "runtimes/description.hpp"
#include "runtimes/operation.hpp"
#include "runtimes/results.hpp"
#include "runtimes/workspace_args.hpp"

namespace kortex::host {
namespace {

const KeyValues no_options;

std::optional<KeyValues> do_not_open(const kortex_plugin&) { return std::nullopt; }

/// The fields that every operation has.
OperationSpec prepare(const PluginFile& file, const RuntimeContext& context, std::string function,
                      std::chrono::milliseconds timeout, const KeyValues& global) {
  OperationSpec spec;
  spec.file = &file;
  spec.context = &context;
  spec.function = std::move(function);
  spec.timeout = timeout;
  spec.global_options = [&global](const kortex_plugin& plugin) -> std::optional<KeyValues> {
    return with_global_defaults(plugin, global);
  };
  return spec;
}

OperationSpec prepare(const Runtime& runtime, std::string function, std::chrono::milliseconds timeout,
                      const KeyValues& global) {
  return prepare(runtime.file(), runtime.context(), std::move(function), timeout, global);
}

OperationResult perform(OperationSpec spec) {
  std::vector<OperationSpec> one;
  one.push_back(std::move(spec));
  OperationResult result = std::move(run_operations(one).front());
  result.check();
  return result;
}

[[noreturn]] void damaged(const PluginFile& file, const std::string& function) {
  throw Error(ErrorKind::failed, title_of(file) + " damaged the answer of " + function + " (bug in the runtime)");
}

/// `count` instances were reported, the first of them with `reported` as its key, where one with `key` is right.
void expect_one(const PluginFile& file, const std::string& function, std::size_t count, const std::string& reported, const std::string& key) {
  const std::string bug = " (bug in the runtime)";
  if (count == 0) throw Error(ErrorKind::failed, title_of(file) + " reported no instance in " + function + bug);
  if (count > 1)
    throw Error(ErrorKind::failed, title_of(file) + " reported " + std::to_string(count) + " instances in " + function +
                                       " where one is expected" + bug);
  if (reported != key)
    throw Error(ErrorKind::failed,
                title_of(file) + " reported instance '" + reported + "' in " + function + " instead of '" + key + "'" + bug);
}

/// For functions that emit exactly one instance.
Instance perform_for_one(OperationSpec spec, const std::string& key) {
  const PluginFile& file = *spec.file;
  const std::string function = spec.function;
  std::vector<Instance> reported;
  std::size_t count = 0;
  spec.on_instance = [&](Instance&& instance) {
    if (++count == 1) reported.push_back(std::move(instance));
  };
  perform(std::move(spec));
  expect_one(file, function, count, count == 0 ? std::string() : reported.front().key, key);
  return std::move(reported.front());
}

[[noreturn]] void refuse_unsupported(const PluginFile& file, const std::string& function) {
  throw Error(ErrorKind::refused, title_of(file) + " does not support " + function);
}

ProbeResult probe_result(const OperationResult& result) {
  ProbeResult probe;
  probe.usable = !result.error;
  probe.details_json = result.json;
  if (!result.error) return probe;
  if (result.error->kind() == ErrorKind::cancelled) throw Error(*result.error);
  probe.reason = result.error->message();
  probe.hint = result.error->hint();
  return probe;
}

kortex_status call_probe(const OpenPlugin& open) { return open.plugin.probe(open.runtime, open.call); }

kortex_status call_create(const OpenPlugin& open, const InstanceRef& ref, const WorkspaceSpec& workspace, const KeyValues& secret_options) {
  const WorkspaceArgs values(workspace, secret_options);
  kortex_create_args args{};
  args.struct_size = sizeof args;
  args.workspace = values.get();
  const kortex_ref instance = ref_of(ref);
  return open.plugin.create(open.runtime, open.call, &instance, &args);
}

kortex_status call_start(const OpenPlugin& open, const InstanceRef& ref, const WorkspaceSpec& workspace, const std::vector<std::string>& env) {
  const WorkspaceArgs values(workspace);
  const StringArray environment(env);
  kortex_start_args args{};
  args.struct_size = sizeof args;
  args.workspace = values.get();
  args.env = environment.data();
  const kortex_ref instance = ref_of(ref);
  return open.plugin.start(open.runtime, open.call, &instance, &args);
}

/// What an assessment takes, in the child.
class Assessor {
 public:
  Assessor(const WorkspaceSpec& workspace, const KeyValues& given_options, const std::string& cwd)
      : m_workspace(workspace), m_given(given_options), m_cwd(cwd) {}

  KeyValues complete(const kortex_plugin& plugin) {
    m_description = describe_table(plugin);
    m_options = complete_options(m_description, m_given, m_cwd);
    return m_options.global;
  }
  kortex_status assess(const OpenPlugin& open, std::string& bytes) const {
    WorkspaceSpec workspace = m_workspace;
    workspace.options = m_options.instance;
    workspace.global_options = m_options.global;
    kortex_guarantees out{};
    out.struct_size = sizeof out;
    const WorkspaceArgs args(workspace);
    const kortex_status status = open.plugin.guarantees(open.runtime, open.call, args.get(), &out);
    if (status != KORTEX_OK) return status;
    PayloadWriter writer(bytes);
    write_guarantees(writer, out);
    write_description(writer, m_description);
    for (const KeyValues* options : {&m_options.instance, &m_options.global, &m_options.secret}) write_key_values(writer, *options);
    return status;
  }

 private:
  const WorkspaceSpec& m_workspace;
  const KeyValues& m_given;
  const std::string& m_cwd;
  Description m_description;
  CompletedOptions m_options;
};

Runtime::Assessment read_assessment(const PluginFile& file, std::string_view bytes, std::string_view json) {
  FrameReader in(bytes);
  Runtime::Assessment assessment;
  assessment.guarantees = read_guarantees(in, json);
  assessment.description = read_description(in);
  for (KeyValues* options : {&assessment.options.instance, &assessment.options.global, &assessment.options.secret})
    *options = read_key_values(in);
  if (!in.ok()) damaged(file, "guarantees");
  return assessment;
}

std::string enlisted_bytes(const Runtime::Founding::Enlisted& enlisted) {
  std::string bytes;
  const InstanceRef& ref = enlisted.ref;
  PayloadWriter(bytes).text(ref.key).text(ref.id).text(ref.name).text(ref.state_dir).text(enlisted.store);
  return bytes;
}

Runtime::Founding::Enlisted read_enlisted(std::string_view bytes) {
  FrameReader in(bytes);
  Runtime::Founding::Enlisted enlisted;
  InstanceRef& ref = enlisted.ref;
  for (std::string* text : {&ref.key, &ref.id, &ref.name, &ref.state_dir, &enlisted.store}) *text = in.text();
  return enlisted;
}

using ExecFunction = kortex_status (*)(kortex_runtime*, const kortex_call*, const kortex_ref*, const kortex_exec_args*,
                                       kortex_exit*);

kortex_status call_exec(const OpenPlugin& open, ExecFunction function, const InstanceRef& instance,
                        const ExecRequest& request) {
  const StringArray argv(request.argv), env(request.env);
  kortex_exec_args args{};
  args.struct_size = sizeof args;
  if (request.tty) args.flags |= KORTEX_EXEC_TTY;
  args.argv = request.argv.empty() ? nullptr : argv.data();
  args.env = request.env.empty() ? nullptr : env.data();
  args.cwd = request.cwd.empty() ? nullptr : request.cwd.c_str();
  args.user = request.user.empty() ? nullptr : request.user.c_str();
  args.stdin_fd = open.child.terminal_in();
  args.stdout_fd = open.child.terminal_out();
  args.stderr_fd = open.child.terminal_err();
  args.rows = request.rows;
  args.cols = request.cols;
  args.detach_keys = request.detach_keys.empty() ? nullptr : request.detach_keys.c_str();
  const kortex_ref ref = ref_of(instance);
  kortex_exit end{};
  end.struct_size = sizeof end;
  const kortex_status status = function(open.runtime, open.call, &ref, &args, &end);
  if (status == KORTEX_OK) open.child.value(exec_end_bytes(end));
  return status;
}

ExecEnd perform_exec(const Runtime& runtime, const std::string& name, bool terminal, const InstanceRef& ref,
                     const WorkspaceSpec& workspace, const ExecRequest& request) {
  OperationSpec spec = prepare(runtime, name, std::chrono::milliseconds::zero(), workspace.global_options);
  spec.streams = request.tty ? Streams::terminal : Streams::pipe;
  spec.body = [&](const OpenPlugin& open) {
    const Description can = describe_table(open.plugin);
    if (!(terminal ? can.terminals : can.execs)) refuse_unsupported(runtime.file(), name);
    return call_exec(open, terminal ? open.plugin.terminal : open.plugin.exec, ref, request);
  };
  return read_exec_end(perform(std::move(spec)).value);
}

}  // namespace

Runtime::Runtime(PluginFile file, RuntimeContext context) : m_file(std::move(file)), m_context(std::move(context)) {}

Description Runtime::describe(Timeout timeout) const {
  OperationSpec spec = prepare(*this, "load", timeout, no_options);
  spec.global_options = do_not_open;
  spec.body = [](const OpenPlugin& open) -> kortex_status {
    std::string bytes;
    PayloadWriter out(bytes);
    write_description(out, describe_table(open.plugin));
    open.child.value(bytes);
    return KORTEX_OK;
  };
  const OperationResult result = perform(std::move(spec));
  FrameReader in(result.value);
  Description description = read_description(in);
  if (!in.ok()) damaged(m_file, "load");
  return description;
}

ProbeResult Runtime::probe(const KeyValues& global_options, Timeout timeout) const {
  std::vector<OperationSpec> one;
  one.push_back(prepare(*this, "probe", timeout, global_options));
  one.front().body = call_probe;
  return probe_result(run_operations(one).front());
}

Runtime::Assessment Runtime::assess(const WorkspaceSpec& workspace, const KeyValues& given_options, const std::string& cwd,
                                    Timeout timeout) const {
  OperationSpec spec = prepare(*this, "guarantees", timeout, no_options);
  Assessor assessor(workspace, given_options, cwd);
  spec.global_options = [&](const kortex_plugin& plugin) { return assessor.complete(plugin); };
  spec.body = [&](const OpenPlugin& open) {
    std::string bytes;
    const kortex_status status = assessor.assess(open, bytes);
    if (status == KORTEX_OK) open.child.value(bytes);
    return status;
  };
  const OperationResult result = perform(std::move(spec));
  return read_assessment(m_file, result.value, result.json);
}

Guarantees Runtime::guarantees(const WorkspaceSpec& workspace, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "guarantees", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) {
    kortex_guarantees out{};
    out.struct_size = sizeof out;
    const WorkspaceArgs args(workspace);
    const kortex_status status = open.plugin.guarantees(open.runtime, open.call, args.get(), &out);
    if (status != KORTEX_OK) return status;
    std::string bytes;
    PayloadWriter writer(bytes);
    write_guarantees(writer, out);
    open.child.value(bytes);
    return status;
  };
  const OperationResult result = perform(std::move(spec));
  FrameReader in(result.value);
  Guarantees guarantees = read_guarantees(in, result.json);
  if (!in.ok()) damaged(m_file, "guarantees");
  return guarantees;
}

Instance Runtime::create(const InstanceRef& ref, const WorkspaceSpec& workspace, const KeyValues& secret_options, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "create", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) { return call_create(open, ref, workspace, secret_options); };
  return perform_for_one(std::move(spec), ref.key);
}

Runtime::Founded Runtime::found(const WorkspaceSpec& workspace, const KeyValues& given_options, const std::string& cwd,
                                const Founding& founding) const {
  OperationSpec spec = prepare(*this, "guarantees", founding.assess_timeout, no_options);
  Assessor assessor(workspace, given_options, cwd);
  spec.global_options = [&](const kortex_plugin& plugin) { return assessor.complete(plugin); };
  spec.body = [&](const OpenPlugin& open) {
    std::string bytes;
    if (const kortex_status status = assessor.assess(open, bytes); status != KORTEX_OK) return status;
    const std::optional<std::string> answer = open.child.ask(bytes);
    if (!answer) return kortex_status{KORTEX_E_CANCELLED};
    const Founding::Enlisted here = read_enlisted(*answer);
    InstanceRef ref = here.ref;
    const Assessment assessment = read_assessment(m_file, bytes, {});
    WorkspaceSpec settled = founding.settle(assessment);
    settled.labels = {{store_label, here.store}};
    open.child.stage("create", founding.create_timeout);
    const kortex_status created = call_create(open, ref, settled, assessment.options.secret);
    if (created != KORTEX_OK || !founding.start) return created;
    ref.id = open.child.last_instance_id();
    open.child.stage("start", founding.start_timeout);
    return call_start(open, ref, settled, founding.env);
  };
  Founding::Enlisted enlisted;
  spec.answer = [&](std::string_view question, const std::string& json) {
    enlisted = founding.enlist(read_assessment(m_file, question, json));
    return Answer{enlisted_bytes(enlisted), enlisted.lock};
  };
  spec.meanwhile = founding.meanwhile;
  std::vector<Instance> reported;
  spec.on_instance = [&](Instance&& instance) { reported.push_back(std::move(instance)); };
  std::vector<OperationSpec> one;
  one.push_back(std::move(spec));
  OperationResult result = std::move(run_operations(one).front());
  if (result.stage != "start") result.check();
  const std::size_t by_create = founding.start ? std::min<std::size_t>(reported.size(), 1) : reported.size();
  expect_one(m_file, "create", by_create, by_create == 0 ? std::string() : reported.front().key, enlisted.ref.key);
  Founded outcome;
  outcome.created = std::move(reported.front());
  if (!founding.start) return outcome;
  try {
    result.check();
    expect_one(m_file, "start", reported.size() - 1, reported.back().key, enlisted.ref.key);
    outcome.started = std::move(reported.back());
  } catch (const Error& error) {
    outcome.failure = error;
  }
  return outcome;
}

Instance Runtime::start(const InstanceRef& ref, const WorkspaceSpec& workspace, const std::vector<std::string>& env,
                        Timeout timeout) const {
  OperationSpec spec = prepare(*this, "start", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) { return call_start(open, ref, workspace, env); };
  return perform_for_one(std::move(spec), ref.key);
}

Instance Runtime::stop(const InstanceRef& ref, const WorkspaceSpec& workspace, const StopRequest& request,
                       Timeout timeout) const {
  OperationSpec spec = prepare(*this, "stop", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) {
    kortex_stop_args args{};
    args.struct_size = sizeof args;
    if (request.kill) args.flags |= KORTEX_STOP_KILL;
    args.grace_ms = request.grace ? static_cast<std::int32_t>(std::clamp<std::int64_t>(request.grace->count(), 0, INT32_MAX)) : -1;
    const kortex_ref instance = ref_of(ref);
    return open.plugin.stop(open.runtime, open.call, &instance, &args);
  };
  return perform_for_one(std::move(spec), ref.key);
}

void Runtime::remove(const InstanceRef& ref, const WorkspaceSpec& workspace, bool force, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "remove", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) {
    kortex_remove_args args{};
    args.struct_size = sizeof args;
    if (force) args.flags |= KORTEX_REMOVE_FORCE;
    const kortex_ref instance = ref_of(ref);
    return open.plugin.remove(open.runtime, open.call, &instance, &args);
  };
  perform(std::move(spec));
}

Instance Runtime::inspect(const InstanceRef& ref, const WorkspaceSpec& workspace, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "inspect", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) {
    const kortex_ref instance = ref_of(ref);
    const std::array<const kortex_ref*, 1> refs{&instance};
    return open.plugin.inspect(open.runtime, open.call, refs.data(), refs.size());
  };
  return perform_for_one(std::move(spec), ref.key);
}

ExecEnd Runtime::exec(const InstanceRef& ref, const WorkspaceSpec& workspace, const ExecRequest& request) const {
  return perform_exec(*this, "exec", false, ref, workspace, request);
}

ExecEnd Runtime::terminal(const InstanceRef& ref, const WorkspaceSpec& workspace, const ExecRequest& request) const {
  return perform_exec(*this, "terminal", true, ref, workspace, request);
}

void Runtime::logs(const InstanceRef& ref, const WorkspaceSpec& workspace, std::int64_t tail, bool follow,
                   const std::function<void(int stream, std::string_view)>& output) const {
  OperationSpec spec = prepare(*this, "logs", Timeout::zero(), workspace.global_options);
  spec.on_output = output;
  spec.body = [&](const OpenPlugin& open) {
    if (!describe_table(open.plugin).logs) refuse_unsupported(m_file, "logs");
    kortex_logs_args args{};
    args.struct_size = sizeof args;
    if (follow) args.flags |= KORTEX_LOGS_FOLLOW;
    args.tail = tail;
    const kortex_ref instance = ref_of(ref);
    return open.plugin.logs(open.runtime, open.call, &instance, &args);
  };
  perform(std::move(spec));
}

ExecEnd Runtime::wait(const InstanceRef& ref, const WorkspaceSpec& workspace, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "wait", timeout, workspace.global_options);
  spec.body = [&](const OpenPlugin& open) {
    if (!describe_table(open.plugin).waits) refuse_unsupported(m_file, "wait");
    const kortex_ref instance = ref_of(ref);
    kortex_exit end{};
    end.struct_size = sizeof end;
    const kortex_status status = open.plugin.wait(open.runtime, open.call, &instance, &end);
    if (status == KORTEX_OK) open.child.value(exec_end_bytes(end));
    return status;
  };
  return read_exec_end(perform(std::move(spec)).value);
}

std::vector<ListAnswer> list_all(const std::vector<ListQuestion>& questions, std::chrono::milliseconds timeout) {
  std::vector<ListAnswer> answers(questions.size());
  std::vector<OperationSpec> specs;
  for (std::size_t i = 0; i < questions.size(); ++i) {
    const Runtime& runtime = *questions[i].runtime;
    OperationSpec& spec = specs.emplace_back(prepare(runtime, "list", timeout, questions[i].global_options));
    spec.body = [&runtime](const OpenPlugin& open) {
      if (!describe_table(open.plugin).lists) refuse_unsupported(runtime.file(), "list");
      return open.plugin.list(open.runtime, open.call);
    };
    spec.on_instance = [&instances = answers[i].instances](Instance&& instance) { instances.push_back(std::move(instance)); };
  }
  std::vector<OperationResult> results = run_operations(specs);
  for (std::size_t i = 0; i < results.size(); ++i) {
    if (results[i].error && results[i].error->kind() == ErrorKind::cancelled) throw Error(*results[i].error);
    answers[i].error = std::move(results[i].error);
  }
  return answers;
}

std::vector<ProbeResult> probe_all(const std::vector<Runtime>& runtimes, std::chrono::milliseconds timeout) {
  std::vector<OperationSpec> specs;
  for (const Runtime& runtime : runtimes) {
    OperationSpec spec = prepare(runtime, "probe", timeout, no_options);
    spec.body = call_probe;
    specs.push_back(std::move(spec));
  }
  const std::vector<OperationResult> results = run_operations(specs);
  std::vector<ProbeResult> probes;
  for (const OperationResult& result : results) probes.push_back(probe_result(result));
  return probes;
}

}  // namespace kortex::host
