#include "runtimes/child_call.hpp"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "runtimes/answer.hpp"
#include "runtimes/text.hpp"

namespace kortex::host {
namespace {

constexpr std::size_t max_id = 1024;
constexpr std::size_t max_line = 4096;
constexpr std::size_t max_detail = 64 * 1024;
constexpr std::size_t max_json = 64 * 1024;
constexpr std::uint32_t max_forwards = 1024;
constexpr std::uint32_t max_labels = 1024;
constexpr std::size_t output_chunk = 256 * 1024;

/// No more than is needed to see that it is too long: the string may not end at all.
std::string_view bounded(const char* text, std::size_t limit) {
  return text == nullptr ? std::string_view() : std::string_view(text, ::strnlen(text, limit));
}

/// Its last part, which is where programs say what went wrong.
std::string_view ending(const char* text, std::size_t limit) {
  std::string_view whole = bounded(text, 64 * 1024 * 1024);
  if (whole.size() > limit) whole.remove_prefix(whole.size() - limit);
  return whole;
}

void write_instance(FrameWriter& frame, const kortex_instance& instance) {
  frame.number(instance.state)
      .text(bounded(instance.key, max_id))
      .text(bounded(instance.id, max_id))
      .text(bounded(instance.name, max_line))
      .text(bounded(instance.status, max_line))
      .number(instance.pid)
      .number(instance.created_ms)
      .number(instance.started_ms)
      .number(instance.finished_ms)
      .number(instance.exit_code)
      .text(bounded(instance.details_json, max_json + 1));
  std::string_view store;
  for (std::uint32_t i = 0; instance.labels != nullptr && i < std::min(instance.label_count, max_labels); ++i)
    if (bounded(instance.labels[i].key, max_id) == store_label) store = bounded(instance.labels[i].value, max_id);
  frame.text(store);
  const std::uint32_t forwards = instance.forwards == nullptr ? 0 : std::min(instance.forward_count, max_forwards);
  frame.number(forwards);
  for (std::uint32_t i = 0; i < forwards; ++i) {
    const kortex_forward* forward = instance.forwards[i];
    frame.number(forward == nullptr ? std::uint16_t{0} : forward->target)
        .number(forward == nullptr ? std::uint16_t{0} : forward->port)
        .text(forward == nullptr ? std::string_view() : bounded(forward->bind, max_id));
  }
}

State state_of(kortex_state state) {
  switch (state) {
    case KORTEX_STATE_CREATED: return State::created;
    case KORTEX_STATE_STARTING: return State::starting;
    case KORTEX_STATE_RUNNING: return State::running;
    case KORTEX_STATE_PAUSED: return State::paused;
    case KORTEX_STATE_STOPPING: return State::stopping;
    case KORTEX_STATE_STOPPED: return State::stopped;
    case KORTEX_STATE_FAILED: return State::failed;
    case KORTEX_STATE_GONE: return State::gone;
    default: return State::unknown;
  }
}

}  // namespace

bool read_instance(std::string_view payload, Instance& instance, bool& details_dropped) {
  FrameReader frame(payload);
  instance.state = state_of(frame.number<kortex_state>());
  instance.key = clean_line(frame.text(), max_id);
  instance.id = clean_line(frame.text(), max_id);
  instance.name = clean_line(frame.text(), max_line);
  instance.status = clean_line(frame.text(), max_line);
  instance.pid = std::max<std::int64_t>(0, frame.number<std::int64_t>());
  instance.created_ms = frame.number<std::int64_t>();
  instance.started_ms = frame.number<std::int64_t>();
  instance.finished_ms = frame.number<std::int64_t>();
  instance.exit_code = frame.number<std::int32_t>();
  if (instance.exit_code < 0 || instance.exit_code > 255) instance.exit_code = -1;
  const std::string_view details = frame.text();
  details_dropped = !details.empty() && !is_json_object(details, max_json);
  instance.details_json = details_dropped ? std::string_view() : details;
  instance.store = clean_line(frame.text(), max_id);
  const auto forwards = frame.number<std::uint32_t>();
  instance.forwards.clear();
  for (std::uint32_t i = 0; i < forwards && frame.ok(); ++i) {
    Forward forward;
    forward.target = frame.number<std::uint16_t>();
    forward.port = frame.number<std::uint16_t>();
    forward.bind = clean_line(frame.text(), max_id);
    if (forward.target != 0 && forward.port != 0) instance.forwards.push_back(std::move(forward));
  }
  return frame.ok() && frame.at_end();
}

struct ChildCall::State {
  explicit State(const ChildCallInputs& given);

  void append_shared(std::string_view frame) {
    const std::uint32_t used = inputs.shared->used.load(std::memory_order_relaxed);
    std::memcpy(inputs.shared->bytes + used, frame.data(), frame.size());
    inputs.shared->used.store(used + static_cast<std::uint32_t>(frame.size()), std::memory_order_release);
  }
  void flush() {
    const std::uint32_t used = inputs.shared->used.load(std::memory_order_relaxed);
    if (used == 0) return;
    write({inputs.shared->bytes, used});
    inputs.shared->used.store(0, std::memory_order_release);
  }
  /// A parent that is gone is not an error here: the call is being cancelled.
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::write(inputs.report_fd, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  template <class Fill>
  void send(Frame tag, Fill fill) {
    const std::scoped_lock lock(mutex);
    scratch.clear();
    {
      FrameWriter frame(scratch, tag);
      fill(frame);
    }
    flush();
    write(scratch);
  }
  void send_instance(const kortex_instance& instance) {
    const std::scoped_lock lock(mutex);
    last_id = bounded(instance.id, max_id);
    scratch.clear();
    {
      FrameWriter frame(scratch, Frame::instance);
      write_instance(frame, instance);
    }
    if (inputs.shared->used.load(std::memory_order_relaxed) + scratch.size() > SharedBuffer::capacity) flush();
    if (scratch.size() > SharedBuffer::capacity)
      write(scratch);
    else
      append_shared(scratch);
  }
  kortex_status fail(kortex_status code, std::string_view message, std::string_view hint, std::string_view detail) {
    send(Frame::failure, [&](FrameWriter& frame) { frame.number(code).text(message).text(hint).text(detail); });
    return code;
  }
  [[nodiscard]] bool is_cancelled() const {
    pollfd poll{inputs.cancel_fd, POLLIN, 0};
    return ::poll(&poll, 1, 0) > 0;
  }
  /// For thousands of instances in a row: asks the system once a millisecond.
  [[nodiscard]] bool is_cancelled_lately() {
    const std::int64_t now = std::chrono::steady_clock::now().time_since_epoch() / std::chrono::milliseconds(1);
    if (last_asked.exchange(now, std::memory_order_relaxed) != now) cancelled = is_cancelled();
    return cancelled;
  }
  [[nodiscard]] bool send_output(kortex_stream stream, std::string_view bytes) {
    while (!bytes.empty()) {
      if (is_cancelled()) return false;
      const std::string_view chunk = bytes.substr(0, output_chunk);
      send(Frame::output, [&](FrameWriter& frame) { frame.number(stream).text(chunk); });
      bytes.remove_prefix(chunk.size());
    }
    return !is_cancelled();
  }

  ChildCallInputs inputs;
  std::mutex mutex;
  std::string scratch, last_id;
  Fd held;  ///< the parent's, see Answer
  std::atomic<std::int64_t> last_asked{-1};
  std::atomic<bool> cancelled{false};
  ProcessRunner runner;
  kortex_host host{};
  kortex_call call{};
};

namespace {

using CallState = ChildCall::State;

CallState& state_of(const kortex_call* call) { return *static_cast<CallState*>(call->ctx); }

extern "C" {

static kortex_status call_fail(const kortex_call* call, kortex_status code, const char* message, const char* hint,
                               const char* detail) {
  return state_of(call).fail(code, bounded(message, max_line), bounded(hint, max_line), ending(detail, max_detail));
}

static std::int32_t call_is_cancelled(const kortex_call* call) { return state_of(call).is_cancelled() ? 1 : 0; }

static void call_progress(const kortex_call* call, const char* phase, std::int64_t done, std::int64_t total,
                          const char* message) {
  CallState& state = state_of(call);
  if (!state.inputs.context->progress) return;
  state.send(Frame::progress, [&](FrameWriter& frame) {
    frame.text(bounded(phase, max_line)).number(done).number(total).text(bounded(message, max_line));
  });
}

static std::int32_t call_emit(const kortex_call* call, const kortex_instance* instance) {
  CallState& state = state_of(call);
  if (instance == nullptr || instance->struct_size < sizeof(kortex_instance)) {
    state.fail(KORTEX_E_INTERNAL, "emit() was called with a damaged instance", "", "");
    return 1;
  }
  state.send_instance(*instance);
  return state.is_cancelled_lately() ? 1 : 0;
}

static std::int32_t call_output(const kortex_call* call, kortex_stream stream, const void* data, std::size_t size) {
  if (data == nullptr) size = 0;
  return state_of(call).send_output(stream, {static_cast<const char*>(data), size}) ? 0 : 1;
}

static void call_result(const kortex_call* call, const char* json) {
  state_of(call).send(Frame::json, [&](FrameWriter& frame) { frame.text(bounded(json, max_json + 1)); });
}

static kortex_status call_run(const kortex_call* call, const kortex_process* process, kortex_process_result* result) {
  CallState& state = state_of(call);
  if (process == nullptr || process->struct_size < sizeof(kortex_process))
    return state.fail(KORTEX_E_INTERNAL, "run() was called with a damaged process", "", "");
  try {
    return state.runner.run(*process, result);
  } catch (const std::exception& error) {
    return state.fail(KORTEX_E_RESOURCE, std::string("cannot run a program: ") + error.what(), "", "");
  }
}

static void host_log(const kortex_host* host, kortex_log_level level, const char* message) {
  auto& state = *static_cast<CallState*>(host->ctx);
  if (!state.inputs.context->log) return;
  state.send(Frame::log, [&](FrameWriter& frame) { frame.number(level).text(bounded(message, max_line)); });
}

static const void* host_extension(const kortex_host*, const char*) { return nullptr; }
}

RunnerSurroundings surroundings_of(CallState& state) {
  RunnerSurroundings surroundings;
  surroundings.cancel_fd = state.inputs.cancel_fd;
  surroundings.signal_fd = state.inputs.signal_fd;
  surroundings.deadline_ms = state.inputs.deadline_ms;
  surroundings.terminal_in = state.inputs.terminal_in;
  surroundings.terminal_out = state.inputs.terminal_out;
  surroundings.terminal_err = state.inputs.terminal_err;
  surroundings.output = [&state](kortex_stream stream, std::string_view bytes) {
    return state.send_output(stream, bytes);
  };
  surroundings.started = [&state](pid_t pid) {
    state.send(Frame::started, [&](FrameWriter& frame) { frame.number(static_cast<std::int64_t>(pid)); });
  };
  surroundings.ended = [&state](pid_t pid) {
    state.send(Frame::ended, [&](FrameWriter& frame) { frame.number(static_cast<std::int64_t>(pid)); });
  };
  surroundings.fail = [&state](kortex_status code, const std::string& message, const std::string& hint,
                               const std::string& detail) {
    return state.fail(code, message, hint, ending(detail.c_str(), max_detail));
  };
  return surroundings;
}

const char* or_null(const std::string& text) { return text.empty() ? nullptr : text.c_str(); }

}  // namespace

ChildCall::State::State(const ChildCallInputs& given) : inputs(given), runner(surroundings_of(*this)) {
  const RuntimeContext& context = *inputs.context;
  host.struct_size = sizeof host;
  host.abi_major = KORTEX_ABI_MAJOR;
  host.abi_minor = KORTEX_ABI_MINOR;
  host.name = "kortex-cli";
  host.version = KORTEX_HOST_VERSION;
  host.ctx = this;
  host.state_dir = or_null(context.state_dir);
  host.cache_dir = or_null(context.cache_dir);
  host.runtime_dir = or_null(context.runtime_dir);
  host.session_program = or_null(context.session_program);
  host.log = host_log;
  host.extension = host_extension;

  call.struct_size = sizeof call;
  if (context.interactive) call.flags |= KORTEX_CALL_INTERACTIVE;
  if (context.verbose) call.flags |= KORTEX_CALL_VERBOSE;
  call.host = &host;
  call.ctx = this;
  call.deadline_ms = inputs.deadline_ms;
  call.cancel_fd = inputs.cancel_fd;
  call.resize_fd = inputs.resize_fd;
  call.signal_fd = inputs.signal_fd;
  call.fail = call_fail;
  call.is_cancelled = call_is_cancelled;
  call.progress = call_progress;
  call.emit = call_emit;
  call.output = call_output;
  call.result = call_result;
  call.run = call_run;
}

ChildCall::ChildCall(const ChildCallInputs& inputs) : m_state(std::make_unique<State>(inputs)) {}
ChildCall::~ChildCall() = default;

const kortex_call* ChildCall::call() const { return &m_state->call; }
const kortex_host* ChildCall::host() const { return &m_state->host; }
int ChildCall::terminal_in() const { return m_state->inputs.terminal_in; }
int ChildCall::terminal_out() const { return m_state->inputs.terminal_out; }
int ChildCall::terminal_err() const { return m_state->inputs.terminal_err; }

void ChildCall::stage(std::string_view function, std::chrono::milliseconds timeout) {
  m_state->send(Frame::stage, [&](FrameWriter& frame) { frame.text(function).number(static_cast<std::int64_t>(timeout.count())); });
  if (timeout.count() > 0)
    m_state->call.deadline_ms = std::chrono::ceil<std::chrono::milliseconds>((std::chrono::steady_clock::now() + timeout).time_since_epoch()).count();
}
const std::string& ChildCall::last_instance_id() const { return m_state->last_id; }
void ChildCall::value(std::string_view bytes) {
  m_state->send(Frame::value, [&](FrameWriter& frame) { frame.text(bytes); });
}
std::optional<std::string> ChildCall::ask(std::string_view question) {
  const auto asked = std::chrono::steady_clock::now();
  m_state->send(Frame::question, [&](FrameWriter& frame) { frame.text(question); });
  std::optional<std::string> answer = receive_answer(m_state->inputs.answer_fd, m_state->inputs.cancel_fd, m_state->held);
  if (std::int64_t& deadline = m_state->call.deadline_ms; deadline >= 0)
    deadline += std::chrono::ceil<std::chrono::milliseconds>(std::chrono::steady_clock::now() - asked).count();
  return answer;
}
void ChildCall::error(const Error& error) {
  m_state->send(Frame::error, [&](FrameWriter& frame) {
    frame.number(static_cast<std::int32_t>(error.kind())).text(error.message()).text(error.hint()).text(error.detail());
  });
}
void ChildCall::threw(std::string_view what) {
  m_state->send(Frame::threw, [&](FrameWriter& frame) { frame.text(what.substr(0, max_line)); });
}
void ChildCall::done(kortex_status status) {
  m_state->send(Frame::done, [&](FrameWriter& frame) { frame.number(status); });
}

}  // namespace kortex::host
