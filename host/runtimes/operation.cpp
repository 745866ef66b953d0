#include "runtimes/operation.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <exception>
#include <limits>
#include <memory>
#include <new>
#include <set>
#include <system_error>
#include <utility>

#include "runtimes/conclusion.hpp"
#include "runtimes/frames.hpp"
#include "runtimes/operation_child.hpp"
#include "runtimes/signal_watch.hpp"
#include "runtimes/text.hpp"
#include "system/pidfd.hpp"

namespace kortex::host {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kill_after_deadline{2000};
constexpr milliseconds kill_after_cancel{10000};
constexpr milliseconds close_within{2000};
constexpr milliseconds deadline_slack{50};  ///< the child counts from when it tells of a stage, we from when we hear of it
constexpr milliseconds meanwhile_after{100};
constexpr milliseconds three_interrupts_within{2000};
constexpr milliseconds idle_again{200};
constexpr std::size_t max_message = 4096;
constexpr std::size_t max_detail = 64 * 1024;
constexpr std::size_t max_json = 64 * 1024;
constexpr std::size_t noise_kept = 64 * 1024;
constexpr std::size_t read_size = 64 * 1024;
constexpr std::size_t large_answer = 64 * 1024;
constexpr int roomy_pipe = 1024 * 1024;

class SharedMapping {
 public:
  SharedMapping() {
    void* memory = ::mmap(nullptr, sizeof(SharedBuffer), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::system_error(errno, std::generic_category(), "mmap");
    // Default, not value initialization: zeroing would touch all of its pages.
    m_buffer = new (memory) SharedBuffer;
  }
  SharedMapping(const SharedMapping&) = delete;
  SharedMapping& operator=(const SharedMapping&) = delete;
  ~SharedMapping() { ::munmap(m_buffer, sizeof(SharedBuffer)); }
  SharedBuffer* get() const { return m_buffer; }

 private:
  SharedBuffer* m_buffer;
};

class Operation {
 public:
  Operation(const OperationSpec& spec, const sigset_t& mask) : m_spec(spec) { start(mask); }
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;
  ~Operation() {
    if (m_pid <= 0) return;
    if (!m_spec.ends_later || !m_seen.status || !ends_in_time()) kill();
    check_end(reap());
    kill_programs();
  }

  [[nodiscard]] bool ended() const { return m_pid <= 0; }
  [[nodiscard]] bool works() const { return !ended() && !(m_spec.ends_later && m_seen.status); }
  [[nodiscard]] bool waits_for_answer() const { return !ended() && m_spec.answer && !m_seen.answered; }

  // ------------------------------------------------------------------ waiting

  static constexpr std::size_t fd_count = 3;
  void add_fds(std::vector<pollfd>& fds) const {
    fds.push_back({ended() ? -1 : m_report.get(), POLLIN, 0});
    fds.push_back({ended() ? -1 : m_noise_fd.get(), POLLIN, 0});
    fds.push_back({ended() ? -1 : m_pidfd.get(), POLLIN, 0});
  }
  void handle(const pollfd* fds) {
    if (ended()) return;
    if (fds[1].revents != 0) read_noise(false);
    if (fds[0].revents != 0) read_report(false);
    if (fds[2].revents != 0) finish();
  }
  [[nodiscard]] std::optional<Clock::time_point> next_event() const {
    if (ended()) return std::nullopt;
    const std::optional<Clock::time_point> end = m_kill_at ? m_kill_at : m_deadline;
    return m_meanwhile_at && (!end || *m_meanwhile_at < *end) ? m_meanwhile_at : end;
  }
  /// Whoever has the terminal to itself is not to be painted over.
  [[nodiscard]] bool idle() const {
    return !ended() && m_spec.streams == Streams::none && m_spec.context->idle && m_spec.context->idle();
  }
  void on_time(Clock::time_point now) {
    if (ended()) return;
    if (m_meanwhile_at && now >= *m_meanwhile_at) {
      m_meanwhile_at.reset();
      guarded(m_spec.meanwhile);
    }
    if (m_kill_at) {
      if (now >= *m_kill_at) kill();
    } else if (m_deadline && now >= *m_deadline) {
      m_timed_out = true;
      cancel(kill_after_deadline);
    }
  }

  // ------------------------------------------------------------------ signals

  void on_signal(int signal, Clock::time_point now) {
    if (ended()) return;
    if (signal == SIGWINCH) {
      tell(m_resize.write, 0);
      return;
    }
    if (m_spec.streams == Streams::pipe && !m_interrupted) {
      if (signal == SIGINT) {
        m_interrupts.push_back(now);
        if (m_interrupts.size() > 3) m_interrupts.erase(m_interrupts.begin());
      }
      const bool insists = m_interrupts.size() == 3 && now - m_interrupts.front() < three_interrupts_within;
      if (!(signal == SIGINT && insists)) {
        tell(m_signals.write, static_cast<unsigned char>(signal));
        return;
      }
    }
    if (m_interrupted && signal == SIGINT) {
      kill();
      return;
    }
    m_interrupted = true;
    cancel(kill_after_cancel);
  }

  [[nodiscard]] std::exception_ptr take_exception() { return std::exchange(m_exception, nullptr); }
  [[nodiscard]] OperationResult take_result() {
    if (!ended() && m_seen.status) {
      conclude(*m_spec.file, m_seen, ending(std::nullopt), m_result);
    }
    return std::move(m_result);
  }

 private:
  void start(const sigset_t& mask) {
    try {
      start_child(mask);
    } catch (const std::system_error& error) {
      throw not_started(error.code().value());
    }
  }

  [[nodiscard]] Error not_started(int error) const {
    const std::string reason = error == EAGAIN ? "no more processes are allowed (ulimit -u)" : reason_of(error);
    return {ErrorKind::failed, "cannot start a process for " + title_of(*m_spec.file) + ": " + reason};
  }

  void start_child(const sigset_t& mask) {
    Pipe report = Pipe::make(), noise = Pipe::make(), cancel = Pipe::make();
    std::array<Fd, 3> terminal;
    if (m_spec.streams != Streams::none) {
      for (int fd = 0; fd < 3; ++fd) {
        terminal[static_cast<std::size_t>(fd)].reset(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
        if (!terminal[static_cast<std::size_t>(fd)] && errno != EBADF)  // it may be closed; it may not be lost
          throw std::system_error(errno, std::generic_category(), "cannot pass on a stream");
      }
      m_signals = Pipe::make(O_NONBLOCK);
      if (m_spec.streams == Streams::terminal) m_resize = Pipe::make(O_NONBLOCK);
    }
    AnswerSockets answers;
    if (m_spec.answer) answers = AnswerSockets::make();
    if (m_spec.meanwhile && !m_spec.answer) m_meanwhile_at = Clock::now() + meanwhile_after;
    ChildStart child;
    if (m_spec.timeout > milliseconds::zero()) {
      m_timeout = m_spec.timeout;
      m_deadline = m_due = Clock::now() + m_timeout;
      // libstdc++'s steady_clock is CLOCK_MONOTONIC. Never before our own deadline, so that it is known for what it is.
      child.call.deadline_ms = std::chrono::ceil<milliseconds>(m_due->time_since_epoch()).count();
    }
    child.parent = ::getpid();
    child.cancel_write_fd = cancel.write.get();
    child.noise_fd = noise.write.get();
    child.signal_mask = mask;
    child.call.report_fd = report.write.get();
    child.call.shared = m_shared.get();
    child.call.context = m_spec.context;
    child.call.cancel_fd = cancel.read.get();
    child.call.resize_fd = m_resize.read.get();
    child.call.signal_fd = m_signals.read.get();
    child.call.answer_fd = answers.child.get();
    child.call.terminal_in = terminal[0].get();
    child.call.terminal_out = terminal[1].get();
    child.call.terminal_err = terminal[2].get();

    m_pid = ::fork();
    if (m_pid < 0) throw not_started(errno);
    if (m_pid == 0) {
      // The ends that are the parent's: while we had them, we would not see it close them.
      report.read.reset();
      noise.read.reset();
      m_resize.write.reset();
      m_signals.write.reset();
      answers.parent.reset();
      run_child(m_spec, child);
    }
    m_pidfd.reset(::pidfd_open(m_pid, 0));
    m_report = std::move(report.read);
    m_noise_fd = std::move(noise.read);
    m_cancel = std::move(cancel.write);
    m_answers = std::move(answers.parent);
    ::fcntl(m_report.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(m_noise_fd.get(), F_SETFL, O_NONBLOCK);
    if (!m_pidfd) {  // no destructor follows a constructor that fails, and the operation must not go on unseen
      const int error = errno;
      ::kill(m_pid, SIGKILL);
      ::waitpid(m_pid, nullptr, 0);
      throw Error(ErrorKind::failed, "cannot watch a process for " + title_of(*m_spec.file) + ": " + reason_of(error));
    }
  }

  static void tell(const Fd& to, unsigned char byte) {
    if (to) [[maybe_unused]]
      const ssize_t n = ::write(to.get(), &byte, 1);
  }

  void cancel(milliseconds kill_after) {
    if (!m_cancelled) tell(m_cancel, 0);
    m_cancelled = true;
    const Clock::time_point kill_at = Clock::now() + kill_after;
    if (!m_kill_at || kill_at < *m_kill_at) m_kill_at = kill_at;
  }

  void kill() {
    m_killed = true;
    m_kill_at.reset();
    m_deadline.reset();
    ::kill(m_pid, SIGKILL);
    kill_programs();
  }

  /// They have process groups of their own and would outlive the child that was to end them.
  void kill_programs() {
    for (const pid_t group : std::exchange(m_programs, {})) ::kill(-group, SIGKILL);
  }

  int reap() {
    int status = 0;
    while (::waitpid(m_pid, &status, 0) < 0 && errno == EINTR) {}
    m_pid = -1;
    return status;
  }

  // ------------------------------------------------------------------ reading

  /// What it prints is kept up to a limit, the newest.
  void read_noise(bool all) {
    std::size_t total = 0;
    while (m_noise_fd && total < 16 * noise_kept) {
      const ssize_t n = ::read(m_noise_fd.get(), m_chunk.get(), read_size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        m_noise_fd.reset();
        return;
      }
      total += static_cast<std::size_t>(n);
      m_noise.append(m_chunk.get(), static_cast<std::size_t>(n));
      if (m_noise.size() > 2 * noise_kept) m_noise.erase(0, m_noise.size() - noise_kept);
      if (!all) return;
    }
  }

  void read_report(bool all) {
    while (m_report) {
      const ssize_t n = ::read(m_report.get(), m_chunk.get(), read_size);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0 && errno == EAGAIN) return;
      if (n <= 0) {
        m_report.reset();
        return;
      }
      take_bytes({m_chunk.get(), static_cast<std::size_t>(n)});
      if (!all) return;
    }
  }

  /// Only what is not whole yet is kept.
  void take_bytes(std::string_view bytes) {
    if (m_bytes.empty()) {
      m_bytes = bytes.substr(take_frames(bytes));
      return;
    }
    m_bytes.append(bytes);
    m_bytes.erase(0, take_frames(m_bytes));
  }

  /// Returns how many bytes were whole frames.
  std::size_t take_frames(std::string_view bytes) {
    const std::size_t whole = bytes.size();
    while (bytes.size() >= frame_header_size && !m_seen.garbage) {
      std::uint32_t size = 0;
      std::memcpy(&size, bytes.data(), sizeof size);
      if (size > max_frame_size) return give_up_reading(), whole;
      if (bytes.size() - frame_header_size < size) break;
      const auto tag = static_cast<Frame>(bytes[sizeof size]);
      if (!take_frame(tag, bytes.substr(frame_header_size, size))) return give_up_reading(), whole;
      bytes.remove_prefix(frame_header_size + size);
    }
    return m_seen.garbage ? whole : whole - bytes.size();
  }

  void give_up_reading() {
    m_seen.garbage = true;
    m_report.reset();
    if (!ended()) kill();
  }

  bool take_frame(Frame tag, std::string_view payload) {
    FrameReader frame(payload);
    switch (tag) {
      case Frame::stage: {
        m_seen.stage = clean_line(frame.text(), 32);
        if (m_seen.stage != "close") m_seen.work = m_seen.stage;
        const milliseconds timeout(frame.number<std::int64_t>());
        if (frame.ok() && timeout.count() > 0 && !m_cancelled) {
          m_timeout = timeout;
          m_deadline = m_due = Clock::now() + timeout;
        }
        break;
      }
      case Frame::log: {
        const auto level = std::clamp<std::int32_t>(frame.number<std::int32_t>(), KORTEX_LOG_TRACE, KORTEX_LOG_ERROR);
        const std::string text = clean_line(frame.text(), max_message);
        if (frame.ok()) guarded([&] { log(level, text); });
        break;
      }
      case Frame::progress: {
        Progress progress;
        progress.phase = clean_line(frame.text(), max_message);
        progress.done = frame.number<std::int64_t>();
        progress.total = frame.number<std::int64_t>();
        progress.message = clean_line(frame.text(), max_message);
        if (frame.ok() && m_spec.context->progress) guarded([&] { m_spec.context->progress(progress); });
        break;
      }
      case Frame::output: {
        const auto stream = frame.number<kortex_stream>();
        const std::string_view bytes = frame.text();
        if (frame.ok() && m_spec.on_output)
          guarded([&] { m_spec.on_output(stream == KORTEX_STREAM_STDERR ? KORTEX_STREAM_STDERR : KORTEX_STREAM_STDOUT, bytes); });
        break;
      }
      case Frame::instance: {
        Instance instance;
        bool details_dropped = false;
        if (!read_instance(payload, instance, details_dropped)) return false;
        if (details_dropped)
          guarded([&] {
            log(KORTEX_LOG_WARN, title_of(*m_spec.file) + " reported details of '" + instance.key +
                                     "' that are not a JSON object of at most 64 KiB: dropped");
          });
        if (m_spec.on_instance) guarded([&] { m_spec.on_instance(std::move(instance)); });
        return true;
      }
      case Frame::question: {
        const std::string_view question = frame.text();
        if (!frame.ok() || !m_spec.answer || std::exchange(m_seen.answered, true)) return false;
        guarded([&] { answer(question); });
        break;
      }
      case Frame::failure: {
        frame.number<kortex_status>();
        Report::Failure failure;
        failure.message = clean_line(frame.text(), max_message);
        failure.hint = clean_line(frame.text(), max_message);
        failure.detail = clean_text(frame.text(), max_detail);
        m_seen.failure = std::move(failure);
        break;
      }
      case Frame::json: m_result.json = frame.text(); break;
      case Frame::value: m_result.value = frame.text(); break;
      case Frame::error: {
        const auto kind = static_cast<ErrorKind>(frame.number<std::int32_t>());
        const std::string message(frame.text()), hint(frame.text()), detail(frame.text());
        m_seen.error = Error(kind, message, hint, detail);
        break;
      }
      case Frame::threw: m_seen.threw = clean_line(frame.text(), max_message); break;
      case Frame::started: return take_program(frame.number<std::int64_t>());
      case Frame::ended: m_programs.erase(static_cast<pid_t>(frame.number<std::int64_t>())); break;
      case Frame::done:
        m_seen.status = frame.number<kortex_status>();
        // The work is done; close() may not make us wait for ever.
        m_deadline.reset();
        m_kill_at = Clock::now() + close_within;
        break;
      default: return false;
    }
    return frame.ok();
  }

  /// We are going to kill that process group. No 0, which were our own, and no 1, which were everybody.
  bool take_program(std::int64_t group) {
    if (group <= 1 || group > std::numeric_limits<pid_t>::max() || group == ::getpgrp()) return false;
    m_programs.insert(static_cast<pid_t>(group));
    return true;
  }

  void check_json() {
    if (m_result.json.empty() || is_json_object(m_result.json, max_json)) return;
    m_result.json.clear();
    guarded([&] {
      log(KORTEX_LOG_WARN, title_of(*m_spec.file) + " gave a result in " + m_seen.work + " that is not a JSON object of at most 64 KiB: dropped");
    });
  }

  void answer(std::string_view question) {
    const Clock::time_point asked = Clock::now();
    check_json();
    const Answer answer = m_spec.answer(question, m_result.json);
    m_result.json.clear();
    // Who is asked about thousands answers while we are busy with what is known of them already.
    if (answer.bytes.size() > large_answer) ::fcntl(m_report.get(), F_SETPIPE_SZ, roomy_pipe);
    send_answer(m_answers, answer);
    const Clock::time_point now = Clock::now();
    if (m_deadline) m_deadline = m_due = *m_deadline + (now - asked);
    if (m_spec.meanwhile) m_meanwhile_at = now + meanwhile_after;
  }

  template <class Function>
  void guarded(Function function) {
    if (m_exception) return;
    try {
      function();
    } catch (...) {
      m_exception = std::current_exception();
      if (!ended()) cancel(kill_after_deadline);
    }
  }

  void log(int level, const std::string& text) const {
    if (m_spec.context->log) m_spec.context->log(level, text);
  }

  // ------------------------------------------------------------------ the end

  void finish() {
    // Read before reaping: a closed descriptor must not be mistaken for the end of a report that is still in the pipe.
    read_report(true);
    read_noise(true);
    const SharedBuffer& shared = *m_shared.get();
    const std::uint32_t left = shared.used.load(std::memory_order_acquire);
    if (left > 0 && left <= SharedBuffer::capacity && !m_seen.garbage) take_frames({shared.bytes, left});
    const int status = reap();
    kill_programs();
    if (m_noise.size() > noise_kept) m_noise.erase(0, m_noise.size() - noise_kept);
    conclude(*m_spec.file, m_seen, ending(status), m_result);
    check_end(status);
    if (m_spec.context->verbose && !m_noise.empty())
      guarded([&] { log(KORTEX_LOG_DEBUG, clean_text(m_noise, noise_kept)); });
    check_json();
  }

  void check_end(int status) {
    if (!m_seen.status || m_seen.error || ended_properly(status)) return;
    guarded([&] { log(KORTEX_LOG_WARN, title_of(*m_spec.file) + " did not end properly in " + m_seen.stage + " (bug in the runtime)"); });
  }
  /// Within what is left to it for close().
  bool ends_in_time() const {
    pollfd fd{m_pidfd.get(), POLLIN, 0};
    for (;;) {
      const auto left = m_kill_at ? std::chrono::ceil<milliseconds>(*m_kill_at - Clock::now()).count() : 0;
      const int ready = ::poll(&fd, 1, static_cast<int>(std::max<std::int64_t>(left, 0)));
      if (ready >= 0 || errno != EINTR) return ready > 0;
    }
  }

  [[nodiscard]] Ending ending(std::optional<int> wait_status) const {
    const bool timed_out = m_timed_out || (m_due && Clock::now() + deadline_slack >= *m_due);
    return {wait_status, m_killed, m_interrupted, timed_out, m_timeout, m_noise};
  }

  const OperationSpec& m_spec;
  SharedMapping m_shared;
  pid_t m_pid = -1;
  Fd m_pidfd, m_report, m_noise_fd, m_cancel, m_answers;
  Pipe m_resize, m_signals;
  std::optional<Clock::time_point> m_deadline, m_kill_at, m_meanwhile_at;
  std::optional<Clock::time_point> m_due;  ///< the deadline, remembered
  milliseconds m_timeout{0};               ///< that led to it
  std::vector<Clock::time_point> m_interrupts;
  bool m_cancelled = false, m_timed_out = false, m_interrupted = false, m_killed = false;
  std::set<pid_t> m_programs;
  // Not cleared: of a page the first touch costs, and more than all the rest where the machine is somebody's guest.
  std::unique_ptr<char[]> m_chunk{new char[read_size]};
  std::string m_bytes, m_noise;
  Report m_seen;
  OperationResult m_result;
  std::exception_ptr m_exception;
};

/// A command started with one of 0..2 closed would find its pipes there, and the child puts its own streams there.
void occupy_standard_streams() {
  for (int fd = 0; fd < 3; ++fd)
    if (::fcntl(fd, F_GETFD) < 0) [[maybe_unused]]
      const int opened = ::open("/dev/null", fd == 0 ? O_RDONLY : O_WRONLY);
}

void wait_for_event(const std::vector<std::unique_ptr<Operation>>& operations, std::vector<pollfd>& fds) {
  std::optional<Clock::time_point> next;
  for (const auto& operation : operations)
    if (const auto event = operation->next_event(); event && (!next || *event < *next)) next = event;
  // They share what they tell of: one is asked.
  const bool again = std::any_of(operations.begin(), operations.end(), [](const auto& operation) { return operation->idle(); });
  int timeout = -1;
  if (next) {
    const auto rest = std::chrono::ceil<milliseconds>(*next - Clock::now()).count();
    timeout = static_cast<int>(std::clamp<std::int64_t>(rest, 0, 24 * 3600 * 1000));
  }
  if (again && (timeout < 0 || timeout > idle_again.count())) timeout = static_cast<int>(idle_again.count());
  while (::poll(fds.data(), fds.size(), timeout) < 0)
    if (errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
}

}  // namespace

void OperationResult::check() const {
  if (!error) return;
  if (not_found) throw NotFound(error->kind(), error->message(), error->hint(), error->detail());
  throw Error(*error);
}

struct Operations::State {
  std::optional<SignalWatch> signals;
  std::vector<std::unique_ptr<Operation>> operations;
};

Operations::Operations() : m_state(std::make_unique<State>()) {}
Operations::~Operations() = default;

void Operations::start(const OperationSpec& spec) {
  if (!m_state->signals) {
    occupy_standard_streams();
    m_state->signals.emplace(spec.streams);
  }
  m_state->operations.push_back(std::make_unique<Operation>(spec, m_state->signals->mask_before()));
}

std::vector<OperationResult> Operations::finish(std::function<void()> once_answered) {
  const auto& operations = m_state->operations;
  const auto none = [&](bool (Operation::*what)() const) {
    return std::none_of(operations.begin(), operations.end(), [&](const auto& operation) { return ((*operation).*what)(); });
  };
  std::vector<pollfd> fds;
  for (;;) {
    if (once_answered && none(&Operation::waits_for_answer)) std::exchange(once_answered, nullptr)();
    if (none(&Operation::works)) break;
    fds.assign(1, pollfd{m_state->signals->fd(), POLLIN, 0});
    for (const auto& operation : operations) operation->add_fds(fds);
    wait_for_event(operations, fds);
    if (fds[0].revents != 0)
      while (const int signal = m_state->signals->next())
        for (const auto& operation : operations) operation->on_signal(signal, Clock::now());
    for (std::size_t i = 0; i < operations.size(); ++i) operations[i]->handle(&fds[1 + i * Operation::fd_count]);
    for (const auto& operation : operations) operation->on_time(Clock::now());
  }
  std::vector<OperationResult> results;
  for (const auto& operation : operations) {
    if (const std::exception_ptr exception = operation->take_exception()) std::rethrow_exception(exception);
    results.push_back(operation->take_result());
  }
  return results;
}

std::vector<OperationResult> run_operations(const std::vector<OperationSpec>& specs) {
  Operations operations;
  for (const OperationSpec& spec : specs) operations.start(spec);
  return operations.finish();
}

}  // namespace kortex::host
