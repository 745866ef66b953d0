/// One operation of a plugin, in a process of its own as the host runs it: load, open(), the operation, close(). What the
/// plugin said and how it behaved comes back as an Outcome. The test plays the user at the other end meanwhile.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <kortex/fd.hpp>
#include <kortex/runtime.h>

#include "arena.hpp"
#include "outcome.hpp"
#include "surroundings.hpp"

namespace kortex::check {

using KeyValues = std::vector<std::pair<std::string, std::string>>;

/// What the host would give a plugin.
struct HostPlaces {
  std::string plugin_file;
  std::string state_dir, cache_dir, runtime_dir, session_program;
  KeyValues options;  ///< --option, as given
  std::string record; ///< --record, a file; empty: none
};

/// A plugin's option as it is given: defaults filled in, sizes in bytes, durations in milliseconds.
[[nodiscard]] KeyValues completed_options(const kortex_plugin&, const KeyValues& given, bool global);

class Child;
/// Calls one function of the plugin and returns what it returned. Arguments are made in the child's arena.
using Body = std::function<kortex_status(Child&)>;

/// For the body: what the host has at hand.
class Child {
 public:
  Arena& arena;
  const kortex_plugin& plugin;
  kortex_runtime* runtime;
  const kortex_call* call;
  Recorder& recorder;
  const HostPlaces& places;

  /// Calls with arguments that cannot be changed any more.
  template <class Function>
  kortex_status sealed(Function function) {
    arena.seal();
    return function();
  }
};

struct OperationSettings {
  std::string function = {};  ///< its name, for messages
  std::chrono::milliseconds deadline{0};  ///< 0: none
  bool cancelled = false;  ///< before it begins
  bool newer = false;      ///< a host with longer structs
  bool terminal = false;   ///< has resize_fd and signal_fd
  int in = -1, out = -1, err = -1;  ///< of the user, for run() with KORTEX_RUN_FOREGROUND
};

class Operation {
 public:
  Operation(const HostPlaces&, const OperationSettings&, const Body&);
  Operation(Operation&&) = default;
  Operation& operator=(Operation&&) = delete;
  ~Operation();

  void cancel();
  void resized();
  void signal(int number);
  /// As a host that dies.
  void kill();
  /// True: it has ended.
  [[nodiscard]] bool wait(std::chrono::milliseconds);
  /// What it handed to call->output() until now.
  [[nodiscard]] std::string output_so_far() const { return read_outcome(m_records.get()).output; }
  /// Waits for its end; the test's time limit is the only one.
  [[nodiscard]] Outcome finish();
  /// Readable when it has ended.
  [[nodiscard]] int pidfd() const { return m_pidfd.get(); }

 private:
  OperationSettings m_settings;
  pid_t m_pid = -1;
  Fd m_pidfd, m_records, m_noise, m_cancel, m_resize, m_signal;
};

/// A process of one's own for anything: `body` gets the loaded table only (no open(), no call).
[[nodiscard]] Outcome with_table(const HostPlaces&, const std::string& name,
                                 const std::function<kortex_status(const kortex_plugin&, Recorder&)>& body);

/// dlopen and the entry; throws Failed with the loader's words.
[[nodiscard]] const kortex_plugin* load_table(const std::string& file, std::uint32_t host_minor);

/// What the test is doing, for the message of a test that takes too long.
extern char* g_breadcrumb;
constexpr std::size_t breadcrumb_size = 128;

}  // namespace kortex::check
