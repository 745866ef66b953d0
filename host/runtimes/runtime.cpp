#include "runtimes/runtime.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_map>

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

Runtime::Assessment Runtime::assess(WorkspaceSpec workspace, const KeyValues& given_options, const std::string& cwd,
                                    Timeout timeout) const {
  OperationSpec spec = prepare(*this, "guarantees", timeout, no_options);
  CompletedOptions completed;  // of the child
  Description described;       // of the child
  spec.global_options = [&](const kortex_plugin& plugin) -> std::optional<KeyValues> {
    described = describe_table(plugin);
    completed = complete_options(described, given_options, cwd);
    return completed.global;
  };
  spec.body = [&](const OpenPlugin& open) {
    workspace.options = completed.instance;
    workspace.global_options = completed.global;
    kortex_guarantees out{};
    out.struct_size = sizeof out;
    const WorkspaceArgs args(workspace);
    const kortex_status status = open.plugin.guarantees(open.runtime, open.call, args.get(), &out);
    if (status != KORTEX_OK) return status;
    std::string bytes;
    PayloadWriter writer(bytes);
    write_guarantees(writer, out);
    write_description(writer, described);
    write_key_values(writer, completed.instance);
    write_key_values(writer, completed.global);
    write_key_values(writer, completed.secret);
    open.child.value(bytes);
    return status;
  };
  const OperationResult result = perform(std::move(spec));
  FrameReader in(result.value);
  Assessment assessment;
  assessment.guarantees = read_guarantees(in, result.json);
  assessment.description = read_description(in);
  assessment.options.instance = read_key_values(in);
  assessment.options.global = read_key_values(in);
  assessment.options.secret = read_key_values(in);
  if (!in.ok()) damaged(m_file, "guarantees");
  return assessment;
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

Instance Runtime::create(const InstanceRef& ref, const WorkspaceSpec& workspace, const KeyValues& secret_options,
                         Timeout timeout, const std::function<void()>& meanwhile) const {
  OperationSpec spec = prepare(*this, "create", timeout, workspace.global_options);
  spec.meanwhile = meanwhile;
  spec.body = [&](const OpenPlugin& open) { return call_create(open, ref, workspace, secret_options); };
  return perform_for_one(std::move(spec), ref.key);
}

Runtime::Started Runtime::create_and_start(const InstanceRef& ref, const WorkspaceSpec& workspace, const KeyValues& secret_options,
                                           const std::vector<std::string>& env, Timeout create, Timeout start,
                                           const std::function<void()>& meanwhile) const {
  OperationSpec spec = prepare(*this, "create", create, workspace.global_options);
  spec.meanwhile = meanwhile;
  spec.body = [&](const OpenPlugin& open) {
    if (const kortex_status status = call_create(open, ref, workspace, secret_options); status != KORTEX_OK) return status;
    InstanceRef made = ref;
    made.id = open.child.last_instance_id();
    open.child.value("created");  // the last stage is the same for whatever failed: close
    open.child.stage("start", start);
    return call_start(open, made, workspace, env);
  };
  std::vector<Instance> reported;
  spec.on_instance = [&](Instance&& instance) { reported.push_back(std::move(instance)); };
  const PluginFile& file = *spec.file;
  std::vector<OperationSpec> one;
  one.push_back(std::move(spec));
  OperationResult result = std::move(run_operations(one).front());
  if (result.value != "created") result.check();
  expect_one(file, "create", reported.empty() ? 0 : 1, reported.empty() ? std::string() : reported.front().key, ref.key);
  Started outcome;
  outcome.created = std::move(reported.front());
  try {
    result.check();
    expect_one(file, "start", reported.size() - 1, reported.back().key, ref.key);
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

std::vector<Instance> Runtime::list(const KeyValues& global_options, Timeout timeout) const {
  OperationSpec spec = prepare(*this, "list", timeout, global_options);
  spec.body = [&](const OpenPlugin& open) {
    if (!describe_table(open.plugin).lists) refuse_unsupported(m_file, "list");
    return open.plugin.list(open.runtime, open.call);
  };
  std::vector<Instance> instances;
  spec.on_instance = [&](Instance&& instance) { instances.push_back(std::move(instance)); };
  perform(std::move(spec));
  return instances;
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

std::vector<QueryResult> query(std::vector<Query> queries, std::chrono::milliseconds timeout) {
  struct Collected {
    std::unordered_map<std::string_view, std::size_t> places;  // of keys in the refs; made for the first answer out of turn
    std::size_t turn = 0;
    std::vector<bool> seen;
    std::string surplus;  // the first key nobody asked for, or asked for once and reported twice
    std::size_t count = 0;

    std::optional<std::size_t> place_of(std::string_view key, const std::vector<kortex_ref>& refs) {
      if (turn < refs.size() && key == refs[turn].key) return turn++;
      if (places.empty())
        for (std::size_t i = 0; i < refs.size(); ++i) places.emplace(refs[i].key, i);
      const auto place = places.find(key);
      if (place == places.end()) return std::nullopt;
      turn = place->second + 1;
      return place->second;
    }
  };
  std::vector<QueryResult> results(queries.size());
  std::vector<Collected> collected(queries.size());
  std::vector<OperationSpec> specs;
  for (std::size_t i = 0; i < queries.size(); ++i) {
    const Query& asked = queries[i];
    Collected& state = collected[i];
    QueryResult& result = results[i];
    result.instances.resize(asked.refs.size());
    state.seen.resize(asked.refs.size());
    OperationSpec spec = prepare(asked.file, asked.context, "inspect", timeout, asked.global_options);
    spec.body = [&asked](const OpenPlugin& open) {
      std::vector<const kortex_ref*> pointers;
      pointers.reserve(asked.refs.size());
      for (const kortex_ref& ref : asked.refs) pointers.push_back(&ref);
      return open.plugin.inspect(open.runtime, open.call, pointers.data(), pointers.size());
    };
    spec.on_instance = [&state, &result, &asked](Instance&& instance) {
      const std::optional<std::size_t> place = state.place_of(instance.key, asked.refs);
      if (!place || state.seen[*place]) {
        if (state.surplus.empty()) state.surplus = instance.key.empty() ? "?" : instance.key;
        if (!place) return;
      } else {
        ++state.count;
      }
      state.seen[*place] = true;
      result.instances[*place] = std::move(instance);
    };
    specs.push_back(std::move(spec));
  }
  std::vector<OperationResult> ended = run_operations(specs);
  for (std::size_t i = 0; i < queries.size(); ++i) {
    QueryResult& result = results[i];
    for (std::size_t j = 0; j < result.instances.size(); ++j)
      if (!collected[i].seen[j]) result.instances[j].key = queries[i].refs[j].key;
    result.error = std::move(ended[i].error);
    if (result.error) continue;
    const std::string title = title_of(queries[i].file);
    if (collected[i].count < queries[i].refs.size())
      result.error = Error(ErrorKind::failed, title + " reported " + std::to_string(collected[i].count) + " of " +
                                                  std::to_string(queries[i].refs.size()) +
                                                  " instances in inspect (bug in the runtime)");
    else if (!collected[i].surplus.empty())
      result.error = Error(ErrorKind::failed, title + " reported instance '" + collected[i].surplus +
                                                  "' once too often in inspect (bug in the runtime)");
  }
  return results;
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
