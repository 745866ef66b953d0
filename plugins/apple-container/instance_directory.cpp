#include "instance_directory.hpp"

#include <fcntl.h>
#include <time.h>
#include <sys/stat.h>
#include <unistd.h>
#if defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include <cerrno>
#include <fstream>
#include <system_error>

#include <kortex/fd.hpp>
#include <kortex/json.hpp>

#include "engine/plan.hpp"

namespace kortex::apple {
namespace {

std::string first_line(const std::string& file) {
  std::ifstream in(file);
  std::string line;
  std::getline(in, line);
  return line;
}

void replace(const std::string& file, const std::string& line) {
  const std::string fresh = file + ".new";
  {
    std::ofstream out(fresh, std::ios::trunc);
    if (out) ::chmod(fresh.c_str(), 0600);  // whatever the umask
    out << line << '\n';
    if (!out.flush()) throw std::system_error(errno, std::generic_category(), "cannot write '" + fresh + "'");
  }
  if (::rename(fresh.c_str(), file.c_str()) != 0) throw std::system_error(errno, std::generic_category(), "cannot write '" + file + "'");
}

std::string boot_id() {
#if defined(__APPLE__)
  char text[64] = "";
  std::size_t size = sizeof text;
  return ::sysctlbyname("kern.bootsessionuuid", text, &size, nullptr, 0) == 0 ? std::string(text) : std::string();
#else
  return first_line("/proc/sys/kernel/random/boot_id");
#endif
}

std::int64_t unix_ms() {
  timespec now{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::int64_t>(now.tv_sec) * 1000 + now.tv_nsec / 1000000;
}

}  // namespace

void InstanceDirectory::keep_tool(const std::string& program) const { replace(m_path + "/tool", program); }
std::string InstanceDirectory::kept_tool() const { return first_line(m_path + "/tool"); }

void InstanceDirectory::begin_run() const {
  forget_run();
  replace(m_path + "/boot", boot_id());
}

void InstanceDirectory::forget_run() const { ::unlink((session() + "/status").c_str()); }

bool InstanceDirectory::was_begun_before_this_boot() const {
  const std::string then = first_line(m_path + "/boot");
  return !then.empty() && then != boot_id();
}

void InstanceDirectory::write_end(int code) const {
  const Fd file(::open((session() + "/status").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  const std::string line = "ended " + std::to_string(code) + " " + std::to_string(unix_ms()) + "\n";
  if (!file || ::write(file.get(), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
    throw std::system_error(errno, std::generic_category(), "cannot write '" + session() + "/status'");
}

Instance instance_of(const ContainerView& view) {
  Instance out;
  out.id = view.id;
  out.key = view.label(engine::label_key);
  out.labels = view.labels;
  out.created_ms = view.created_ms;
  switch (view.word) {
    case ContainerView::Word::running: out.state = State::running; break;
    case ContainerView::Word::stopping: out.state = State::stopping; break;
    case ContainerView::Word::stopped: out.state = State::stopped; break;
    case ContainerView::Word::unknown: out.state = State::unknown; break;
  }
  if (out.state == State::running) {
    out.started_ms = view.started_ms;
    out.forwards = view.forwards;
  }
  kortex::json::Object details{{"container", view.id}, {"image", view.image}};
  if (!view.architecture.empty()) details.add("architecture", view.architecture);
  if (out.state == State::running && !view.address.empty()) details.add("address", view.address);
  out.details_json = details.text();
  return out;
}

Instance InstanceDirectory::instance(const ContainerView& view) const {
  Instance out = instance_of(view);
  const session::StatusFile story = this->story();
  if (story.started) out.started_ms = story.started_ms;
  // The machine goes a moment after its agent.
  if (out.state == State::running && story.ended) out.state = State::stopping;
  if (out.state == State::running && story.serving && !story.started) {
    out.state = State::stopped;  // somebody has started it by hand, or its start was interrupted
    out.status = "its container runs, the agent does not";
    out.forwards.clear();
    return out;
  }
  if (out.state != State::stopped) return out;
  if (story.ended) {
    out.exit_code = story.exit_code;
    out.finished_ms = story.ended_ms;
  } else if (!story.started) {
    out.state = State::created;
  } else if (was_begun_before_this_boot()) {
    out.status = "this machine was restarted while it ran";
  } else {
    out.state = State::failed;
    out.status = "its virtual machine ended without a word of the agent";
  }
  return out;
}

}  // namespace kortex::apple
