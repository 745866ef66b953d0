#include "runner.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <set>
#include <system_error>

#include "instance.hpp"
#include "pidfd.hpp"
#include "programs.hpp"
#include "survey.hpp"

namespace kortex::check {

namespace fs = std::filesystem;

namespace {

/// A process and all that it and its descendants have started and that is still theirs.
void kill_tree(pid_t root) {
  std::vector<pid_t> pending{root};
  std::set<pid_t> seen;
  while (!pending.empty()) {
    const pid_t pid = pending.back();
    pending.pop_back();
    if (!seen.insert(pid).second) continue;
    ::kill(pid, SIGSTOP);  // so that it starts no more
    std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
    for (pid_t child = 0; children >> child;) pending.push_back(child);
  }
  for (const pid_t pid : seen) ::kill(pid, SIGKILL);
}

std::string signal_name(int number) { return "signal " + std::to_string(number) + " (" + ::strsignal(number) + ")"; }

/// What a test's process tells: shared with us, so that it is known whatever becomes of it.
struct Verdict {
  enum : int { none, passed, failed, skipped } kind;
  char why[16384];
  char breadcrumb[breadcrumb_size];
};

void set_verdict(Verdict& verdict, int kind, const std::string& why) {
  std::strncpy(verdict.why, why.c_str(), sizeof verdict.why - 1);
  verdict.kind = static_cast<decltype(verdict.kind)>(kind);
}

}  // namespace

struct Runner::Process {
  const Test* test = nullptr;
  std::size_t number = 0;
  pid_t pid = -1;
  Fd pidfd;
  Verdict* verdict = nullptr;
  std::int64_t begun = 0;
  std::string skipped, untried;
};

bool in_a_process(std::chrono::milliseconds limit, const std::function<void()>& body) {
  const pid_t parent = ::getpid(), pid = ::fork();
  if (pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (pid == 0) {
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(1);
    try {
      body();
    } catch (...) {
      ::_exit(1);
    }
    ::_exit(0);
  }
  const Fd pidfd(::pidfd_open(pid, 0));
  pollfd poll{pidfd.get(), POLLIN, 0};
  int ready = 0;
  while ((ready = ::poll(&poll, 1, static_cast<int>(limit.count()))) < 0 && errno == EINTR) continue;
  if (ready == 0) kill_tree(pid);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return ready > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Runner::Runner(const Arguments& arguments, const Survey& survey, fs::path place)
    : m_arguments(arguments), m_survey(survey), m_place(std::move(place)) {}

Runner::Process Runner::start(const Test& test, std::size_t number) const {
  Process process;
  process.test = &test;
  process.number = number;
  process.begun = monotonic_ms();
  process.skipped = why_skipped(test, m_survey, m_arguments);
  if (!process.skipped.empty()) return process;
  if (!m_agentless.empty() && (test.needs & need_agent) != 0) {
    process.untried = "not tried: no agent was seen in " + m_agentless;
    return process;
  }
  void* shared = ::mmap(nullptr, sizeof(Verdict), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) throw std::bad_alloc();
  process.verdict = static_cast<Verdict*>(shared);
  const pid_t parent = ::getpid();
  process.pid = ::fork();
  if (process.pid < 0) throw std::system_error(errno, std::generic_category(), "fork");
  if (process.pid > 0) {
    process.pidfd.reset(::pidfd_open(process.pid, 0));
    return process;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(1);
  g_breadcrumb = process.verdict->breadcrumb;
  ::signal(SIGPIPE, SIG_IGN);
  try {
    const std::string prefix = "kortex-check-" + std::to_string(parent) + '-' + std::to_string(number) + '-';
    Bench bench(m_arguments, m_survey, m_place / "plugin", own(number), prefix);
    test.run(bench);
    set_verdict(*process.verdict, Verdict::passed, "");
  } catch (const Skipped& why) {
    set_verdict(*process.verdict, Verdict::skipped, why.what());
  } catch (const std::exception& error) {
    set_verdict(*process.verdict, Verdict::failed, error.what());
  }
  ::_exit(0);
}

Result Runner::finish(Process& process) const {
  Result result;
  result.test = process.test;
  if (process.pid < 0) {
    result.kind = process.untried.empty() ? Result::Kind::skipped : Result::Kind::failed;
    result.why = process.untried.empty() ? process.skipped : process.untried;
    return result;
  }
  int status = 0;
  const bool ended = ::waitpid(process.pid, &status, WNOHANG) == process.pid;
  if (!ended) {
    kill_tree(process.pid);
    ::waitpid(process.pid, &status, 0);
    const std::string limit = std::to_string(m_arguments.timeout.count()) + " s";
    result.no_agent = std::string_view(process.verdict->breadcrumb) == awaits_the_agent;
    result.why = result.no_agent ? "start() returned, and within " + limit + " the agent was not seen: its command was not run, or what it wrote to the "
                                   "sources did not arrive; a runtime that runs no agent yet is checked with --pretend"
                                 : "it took longer than " + limit + "; last: " + process.verdict->breadcrumb;
  } else if (process.verdict->kind == Verdict::passed) {
    result.kind = Result::Kind::passed;
  } else if (process.verdict->kind == Verdict::skipped) {
    result.kind = Result::Kind::skipped;
    result.why = process.verdict->why;
  } else if (process.verdict->kind == Verdict::failed) {
    result.why = process.verdict->why;
  } else {
    result.why = WIFSIGNALED(status) ? "the test itself crashed: " + signal_name(WTERMSIG(status)) : "the test ended without a verdict";
  }
  result.elapsed_ms = monotonic_ms() - process.begun;
  ::munmap(process.verdict, sizeof(Verdict));
  clean_up(process, result);
  return result;
}

/// One that runs no agent would cost the whole time limit again in each test that waits for it.
void Runner::learn(const Result& result) {
  if (result.kind == Result::Kind::passed && (result.test->needs & need_agent) != 0) m_agent_seen = true;
  if (result.no_agent && !m_agent_seen && m_agentless.empty()) m_agentless = result.test->full_name();
}

void Runner::clean_up(const Process& process, Result& result) const {
  const fs::path directory = own(process.number);
  const bool cleaned = in_a_process(std::chrono::seconds(30), [&] {
    if (!remove_left_instances(m_arguments, m_survey, m_place / "plugin", directory)) throw std::runtime_error("left");
  });
  if (!cleaned && result.kind == Result::Kind::passed) {
    result.kind = Result::Kind::failed;
    result.why = "what it made could not be removed with KORTEX_REMOVE_FORCE";
  }
  if (m_arguments.keep) return;
  std::error_code ignored;
  fs::remove_all(directory, ignored);
}

void Runner::run(const std::vector<const Test*>& tests, const std::function<void(const Result&)>& report) {
  std::vector<Process> running;
  std::map<std::size_t, Result> done;
  std::size_t next = 0, reported = 0;
  while (reported < tests.size()) {
    while (next < tests.size() && running.size() < static_cast<std::size_t>(m_arguments.jobs)) {
      Process process = start(*tests[next], next);
      if (process.pid < 0)
        done[next] = finish(process);
      else
        running.push_back(std::move(process));
      ++next;
    }
    std::vector<pollfd> fds;
    std::int64_t patience = -1;
    const std::int64_t now = monotonic_ms(), limit = std::chrono::milliseconds(m_arguments.timeout).count();
    for (const Process& process : running) {
      fds.push_back({process.pidfd.get(), POLLIN, 0});
      const std::int64_t left = std::max<std::int64_t>(0, process.begun + limit - now);
      patience = patience < 0 ? left : std::min(patience, left);
    }
    if (!fds.empty()) ::poll(fds.data(), fds.size(), static_cast<int>(patience));
    for (std::size_t i = fds.size(); i-- > 0;) {
      if (fds[i].revents == 0 && monotonic_ms() < running[i].begun + limit) continue;
      const Result& result = done[running[i].number] = finish(running[i]);
      learn(result);
      running.erase(running.begin() + static_cast<std::ptrdiff_t>(i));
    }
    for (; done.count(reported) != 0; ++reported) report(done[reported]);
  }
}

}  // namespace kortex::check
