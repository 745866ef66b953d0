#include "faults.hpp"

#include <unistd.h>

#include <cstdlib>

namespace fake {
namespace {

const std::vector<std::string> operations{"guarantees", "create",   "start", "stop", "remove", "inspect",
                                          "exec",       "terminal", "logs",  "wait"};
constexpr const char* kinds[] = {"fail", "hang", "crash", "exit", "noise"};

[[noreturn]] void hang(const kortex::Call& call, bool deaf) {
  if (!deaf) call.wait_readable(-1);  // throws once cancelled
  for (;;) ::pause();
}

}  // namespace

void add_fault_options(std::vector<kortex::Option>& options) {
  const auto fault = [&](const char* name, const char* help) {
    options.push_back({name, help, KORTEX_OPT_ENUM, KORTEX_OPT_REPEATABLE, std::nullopt, operations});
  };
  fault("fail", "the operation that fails");
  fault("hang", "the operation that never returns");
  fault("crash", "the operation in which the plugin crashes");
  fault("exit", "the operation in which the plugin calls exit()");
  fault("noise", "the operation in which the plugin writes to the host's standard output");
  options.push_back({"deaf", "hang does not notice a cancelled call", KORTEX_OPT_BOOL, 0, "false"});
  options.push_back({"at", "whether faults happen before or after the effect", KORTEX_OPT_ENUM, 0, "before", {"before", "after"}});
  options.push_back({"code", "the status that fail returns", KORTEX_OPT_INT, 0, std::to_string(KORTEX_E_BACKEND), {}, 1, 100000});
  options.push_back({"slow", "how long create, start, stop and remove take", KORTEX_OPT_DURATION});
}

bool Faults::any() const {
  for (const char* kind : kinds)
    if (m_options.find(kind)) return true;
  return m_options.find("slow").has_value();
}

kortex::KeyValues Faults::kept() const {
  kortex::KeyValues out;
  for (const auto& [name, value] : m_options.values()) {
    bool mine = name == "deaf" || name == "at" || name == "code" || name == "slow";
    for (const char* kind : kinds) mine = mine || name == kind;
    if (mine) out.emplace_back(name, value);
  }
  return out;
}

void Faults::before(const kortex::Call& call, const std::string& operation, const std::string& name) const {
  const auto slow = m_options.duration("slow");
  if (slow && (operation == "create" || operation == "start" || operation == "stop" || operation == "remove")) {
    call.progress("slow", operation + " takes " + std::to_string(slow->count()) + " ms");
    call.wait_readable(-1, slow);
  }
  if (m_options.get("at", "before") == "before") play(call, operation, name);
}

void Faults::after(const kortex::Call& call, const std::string& operation, const std::string& name) const {
  if (m_options.get("at", "before") == "after") play(call, operation, name);
}

void Faults::play(const kortex::Call& call, const std::string& operation, const std::string& name) const {
  const auto asked = [&](const char* kind) {
    for (const std::string& one : m_options.all(kind))
      if (one == operation) return true;
    return false;
  };
  if (asked("noise")) {
    static constexpr char noise[] = "noise from the fake runtime\n";
    if (::write(STDOUT_FILENO, noise, sizeof noise - 1) < 0) return;
  }
  if (asked("hang")) {
    call.progress("hang", operation + " hangs");
    hang(call, m_options.flag("deaf"));
  }
  if (asked("crash")) std::abort();  // SIGABRT: sanitizers turn SIGSEGV into an exit status
  if (asked("exit")) std::exit(3);
  if (asked("fail"))
    throw kortex::Error(static_cast<kortex_status>(m_options.number("code").value_or(KORTEX_E_BACKEND)),
                        "cannot " + operation + " '" + name + "': the fake backend was told to fail",
                        "init it without --runtime-option fail=" + operation, "fault injection: fail=" + operation);
}

}  // namespace fake
