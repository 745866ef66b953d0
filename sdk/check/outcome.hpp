/// What came of an operation: all that the plugin said, and what was seen of its manners. Recorded by the child as it
/// happens, so that it is there even when the child crashes.
#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <kortex/fd.hpp>
#include <kortex/runtime.h>

namespace kortex::check {

struct EmittedForward {
  int target = 0, port = 0;
  std::string bind;
};

struct Emitted {
  std::uint32_t struct_size = 0;
  kortex_state state = 0;
  std::optional<std::string> key, id, name, status, details;
  std::int64_t pid = 0;
  int exit_code = -1;
  std::vector<EmittedForward> forwards;
};

struct Failure {
  kortex_status code = 0;
  std::string message, hint, detail;
};

struct Outcome {
  std::string function;             ///< which was called last
  std::optional<kortex_status> status;  ///< none: it never returned
  int signal = 0;                   ///< that ended the child
  int exit_status = 0;              ///< with which the child ended by itself
  std::int64_t elapsed_ms = 0;      ///< of the operation alone
  std::vector<Emitted> emitted;
  std::vector<Failure> failures;
  std::vector<std::string> results;
  std::string output;               ///< by call->output()
  int programs = 0;                 ///< started with run()
  std::vector<std::string> complaints;  ///< rules that were broken, "R8: ..."
  std::string noise;                ///< written to descriptors 1 and 2
  std::optional<kortex_exit> exit;
  std::optional<kortex_guarantees> guarantees;
  std::vector<std::int64_t> unfinished;  ///< process groups of programs of run() that have not ended
  std::vector<std::string> values;  ///< what a test's own function recorded

  [[nodiscard]] bool ok() const { return signal == 0 && status == KORTEX_OK; }
  [[nodiscard]] std::string what_happened() const;
};

enum class Tag : std::uint8_t { function, status, emitted, failure, result, output, program, complaint, exit, guarantees, value, elapsed, started, ended };

/// The child's side.
class Recorder {
 public:
  explicit Recorder(int fd) : m_fd(fd) {}
  void text(Tag tag, std::string_view bytes);
  void emitted(const kortex_instance&);
  void failure(kortex_status, const char* message, const char* hint, const char* detail);
  void complain(const std::string& rule_and_what) { text(Tag::complaint, rule_and_what); }
  template <class T>
  void plain(Tag tag, const T& value) {
    text(tag, {reinterpret_cast<const char*>(&value), sizeof value});
  }

 private:
  int m_fd;
  std::mutex m_mutex;
};

/// The parent's: from the beginning of the file.
[[nodiscard]] Outcome read_outcome(int fd);

[[nodiscard]] const char* state_name(kortex_state);
[[nodiscard]] std::string status_name(kortex_status);

}  // namespace kortex::check
