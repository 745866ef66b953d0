#include "runtimes/conclusion.hpp"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include <string_view>

#include "runtimes/text.hpp"

namespace kortex::host {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t max_message = 4096;
constexpr std::size_t noise_kept = 64 * 1024;

std::string crash_word(int signal) {
  switch (signal) {
    case SIGSEGV: return "segmentation fault";
    case SIGABRT: return "aborted";
    case SIGBUS: return "bus error";
    case SIGFPE: return "arithmetic error";
    case SIGILL: return "illegal instruction";
    default: {
      const char* name = ::sigabbrev_np(signal);
      return name == nullptr ? "signal " + std::to_string(signal) : "SIG" + std::string(name);
    }
  }
}

ErrorKind kind_of(kortex_status status) {
  switch (status) {
    case KORTEX_E_UNAVAILABLE: return ErrorKind::no_runtime;
    case KORTEX_E_STATE: return ErrorKind::wrong_state;
    case KORTEX_E_TIMEOUT:
    case KORTEX_E_BUSY: return ErrorKind::busy;
    case KORTEX_E_INVALID:
    case KORTEX_E_UNSUPPORTED:
    case KORTEX_E_PERMISSION: return ErrorKind::refused;
    case KORTEX_E_CANCELLED: return ErrorKind::cancelled;
    default: return ErrorKind::failed;
  }
}

std::string duration_text(milliseconds time) {
  if (time.count() % 1000 != 0) return std::to_string(time.count()) + " ms";
  return std::to_string(time.count() / 1000) + " s";
}

/// An exception that nobody could catch ends in abort(), and the C++ library prints it first. Its text, or "" when it has none.
std::optional<std::string> uncaught_exception(std::string_view noise) {
  constexpr std::string_view announcement = "terminate called after throwing an instance of '", what = "what():  ";
  const std::size_t announced = noise.rfind(announcement);
  if (announced == std::string_view::npos) return std::nullopt;
  const std::size_t start = noise.find(what, announced);
  if (start == std::string_view::npos) return "";
  const std::string_view text = noise.substr(start + what.size());
  return clean_line(text.substr(0, text.find('\n')), max_message);
}

class Conclusion {
 public:
  Conclusion(const PluginFile& file, const Report& seen, const Ending& ending, OperationResult& result)
      : m_file(file), m_seen(seen), m_ending(ending), m_result(result), m_title(title_of(file)) {}

  void make() {
    m_result.stage = m_seen.work;
    if (m_seen.error) m_result.error = *m_seen.error;
    else if (m_seen.status) answered(*m_seen.status);
    else if (m_ending.killed && !m_seen.garbage) gave_up();
    else died(m_ending.wait_status.value_or(0));
  }

 private:
  void fail(ErrorKind kind, const std::string& message, const std::string& hint = {}) {
    m_result.error = Error(kind, message, hint, clean_text(m_ending.noise, noise_kept));
  }
  /// Something that only who made the runtime can mend.
  void blame(const std::string& message) {
    fail(ErrorKind::failed, m_title + message, "this is a bug in the runtime; 'kortex-cli runtime info " + m_file.name + "' tells who can mend it");
  }
  void too_late(const std::string& function) {
    fail(ErrorKind::busy, m_title + " did not finish " + function + " within " + duration_text(m_ending.timeout));
  }

  void gave_up() {
    if (m_ending.interrupted) fail(ErrorKind::cancelled, m_seen.stage + " was interrupted before " + m_title + " had ended it");
    else too_late(m_seen.stage);
  }

  void died(int status) {
    const std::string& stage = m_seen.stage;
    const bool by_signal = WIFSIGNALED(status);
    const int signal = by_signal ? WTERMSIG(status) : 0;
    std::optional<std::string> threw = m_seen.threw;
    if (!threw && signal == SIGABRT) threw = uncaught_exception(m_ending.noise);
    if (threw) blame(" threw an exception out of " + stage + (threw->empty() ? "" : ": " + *threw) + " (bug in the runtime)");
    else if (m_seen.garbage) blame(" damaged the process it runs in during " + stage + " (bug in the runtime)");
    else if (signal == SIGKILL) fail(ErrorKind::failed, m_title + " was killed in " + stage + " (perhaps the machine ran out of memory)");
    else if (by_signal) blame(" crashed in " + stage + " (" + crash_word(signal) + ")");
    else blame(" ended the process in " + stage + " (bug in the runtime)");
  }

  void answered(kortex_status status) {
    if (status == KORTEX_OK) return;
    m_result.not_found = status == KORTEX_E_NOT_FOUND;
    const bool spoke = m_seen.failure && !m_seen.failure->message.empty();
    if (m_ending.timed_out && !m_ending.interrupted && (status == KORTEX_E_CANCELLED || status == KORTEX_E_TIMEOUT)) {
      too_late(m_seen.work);
      if (status == KORTEX_E_CANCELLED || !spoke) return;
      m_result.error = Error(ErrorKind::busy, m_result.error->message(), m_result.error->hint(),
                             clean_text(m_ending.noise + m_seen.failure->message + "\n", noise_kept));
    } else if (status == KORTEX_E_CANCELLED) {
      fail(ErrorKind::cancelled, m_seen.work + " was cancelled");
    } else if (spoke) {
      const Report::Failure& said = *m_seen.failure;
      m_result.error = Error(kind_of(status), said.message, said.hint,
                             said.detail.empty() ? clean_text(m_ending.noise, noise_kept) : said.detail);
    } else {
      fail(kind_of(status), m_title + " returned " + std::to_string(status) + " from " + m_seen.work +
                                " without saying why (bug in the runtime)");
    }
  }

  const PluginFile& m_file;
  const Report& m_seen;
  const Ending& m_ending;
  OperationResult& m_result;
  std::string m_title;
};

}  // namespace

std::string title_of(const PluginFile& file) {
  return "runtime '" + file.name + "'" + (file.descriptor ? " " + file.descriptor->version : "");
}

void conclude(const PluginFile& file, const Report& seen, const Ending& ending, OperationResult& result) {
  Conclusion(file, seen, ending, result).make();
}

bool ended_properly(int wait_status) { return WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0; }

}  // namespace kortex::host
