/// An instance of the plugin under test, and the agent in it.
#pragma once

#include "bench.hpp"

namespace kortex::check {

enum class Grace { none, usual, long_one };

/// A program in the instance while it runs; the test has the other ends of its streams.
struct Session {
  Operation operation;
  Fd input, output, errors;  ///< with a terminal `input` and `output` are both the terminal's
};

struct Execution {
  std::vector<std::string> argv = {};       ///< of the helper; empty: the agent's own session
  std::vector<std::string> program = {};    ///< instead of the helper
  std::vector<std::string> env = {};
  std::string cwd = {};
  bool terminal_function = false;      ///< terminal() instead of exec()
  bool tty = false;
  unsigned short rows = 0, cols = 0;
  std::string detach_keys = {};
  bool without_input = false;          ///< stdin_fd is -1
  std::chrono::milliseconds deadline{0};
  bool cancelled = false;
};

class Instance {
 public:
  Instance(const Bench& bench, Wish wish, const std::string& key, const std::filesystem::path& place);
  Instance(const Instance&) = delete;
  Instance& operator=(const Instance&) = delete;

  // Each is one operation, in a process of its own. None is expected to succeed.
  Outcome create(const OperationSettings& = {});
  Outcome start(const OperationSettings& = {});
  Outcome stop(std::int32_t grace_ms = 2000, std::uint32_t flags = 0, const OperationSettings& = {});
  Outcome remove(std::uint32_t flags = 0, const OperationSettings& = {});
  Outcome inspect(const OperationSettings& = {});
  Outcome guarantees();
  Outcome wait(const OperationSettings& = {});
  Outcome logs(std::int64_t tail = -1, std::uint32_t flags = 0, std::int64_t since_ms = 0, const OperationSettings& = {});
  /// The same, not to its end.
  [[nodiscard]] Operation begin_start();
  [[nodiscard]] Operation begin_stop(std::int32_t grace_ms, std::chrono::milliseconds deadline = {});
  [[nodiscard]] Operation begin_wait(std::chrono::milliseconds deadline = {});
  [[nodiscard]] Operation begin_logs(std::uint32_t flags, std::chrono::milliseconds deadline = {});
  [[nodiscard]] Session begin(const Execution&);
  /// A program of the helper to its end: its outcome, stdout and stderr.
  struct Ended {
    Outcome outcome;
    std::string out, err;
  };
  [[nodiscard]] Ended run(const Execution&, const std::string& input = {});

  /// inspect() of many at once, in one operation.
  [[nodiscard]] static Outcome inspect_all(const Bench&, const std::vector<Instance*>&);

  [[nodiscard]] kortex_state state();
  /// Until inspect() says so; the test's time limit is the only one.
  void await_state(std::initializer_list<kortex_state> any);

  /// Gone without the plugin's knowing.
  void vanish();

  /// The agent is the helper that tries this, and reports.
  void set_agent_attempt(const std::vector<std::string>& attempt);

  // The agent's side: the files of the helper in the sources.

  [[nodiscard]] const std::filesystem::path& sources() const { return m_sources; }
  [[nodiscard]] const std::filesystem::path& signs() const { return m_signs; }
  /// How the helper is named in the instance.
  [[nodiscard]] std::string helper() const;
  [[nodiscard]] std::string await_sign(const std::string& name) const;
  [[nodiscard]] bool has_sign(const std::string& name) const;
  [[nodiscard]] std::string sign(const std::string& name) const;
  void order(const std::string& what) const;
  [[nodiscard]] std::size_t agent_starts() const;
  /// With agent "try": what became of each attempt.
  [[nodiscard]] std::vector<std::pair<std::string, std::string>> report() const;

  [[nodiscard]] const std::string& key() const { return m_key; }
  [[nodiscard]] const std::string& id() const { return m_id; }
  void set_id(const std::string& id);
  [[nodiscard]] const std::filesystem::path& state_dir() const { return m_state; }
  [[nodiscard]] const Wish& wish() const { return m_wish; }

 private:
  friend bool remove_left_instances(const Arguments&, const Survey&, const std::filesystem::path&, const std::filesystem::path&);

  [[nodiscard]] const kortex_ref* ref(Child&) const;
  [[nodiscard]] const kortex_workspace* workspace(Child&, bool with_secrets) const;
  [[nodiscard]] OperationSettings named(const OperationSettings&, const char* function) const;
  void remember() const;

  const Bench& m_bench;
  Wish m_wish;
  std::string m_key, m_id;
  std::filesystem::path m_state, m_sources, m_signs;
};

/// What a test was doing last that never saw its agent.
inline constexpr const char* awaits_the_agent = "waiting for the agent's sign 'started'";

/// What the workspace's sources have besides the helper, so that there is something to look at.
inline constexpr const char* sample_file = "README.md";

/// Reads until the end of file, or until `enough` is found.
[[nodiscard]] std::string read_all(int fd);
[[nodiscard]] std::string read_until(int fd, const std::string& enough);
void write_all(int fd, const std::string& bytes);

}  // namespace kortex::check
