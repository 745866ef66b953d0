#include "tool.hpp"

#include <algorithm>

namespace kortex::apple {
namespace {

using namespace std::chrono_literals;

constexpr const char* start_hint = "container system start";

bool holds(const std::string& text, const char* words) { return text.find(words) != std::string::npos; }

/// "Error: notFound: \"…\"" on one line, without what every one of its errors begins with.
std::string reason_in(const std::string& complaint) {
  for (std::size_t at = 0; at < complaint.size();) {
    const std::size_t end = std::min(complaint.find('\n', at), complaint.size());
    std::string line = complaint.substr(at, end - at);
    at = end + 1;
    if (line.rfind("Error: ", 0) == 0) line.erase(0, 7);
    while (!line.empty() && (line.back() == '.' || line.back() == '\r' || line.back() == ' ')) line.pop_back();
    if (!line.empty()) return line;
  }
  return "it did not say why";
}

/// It has to be named: what else can be "not found" must not be taken for a container that is gone.
bool tells_of_no_container(const std::string& complaint, const std::string& name) {
  return holds(complaint, name.c_str()) && (holds(complaint, "not found") || holds(complaint, "notFound") || holds(complaint, "No such container"));
}

}  // namespace

bool tells_of_no_services(const std::string& complaint) {
  return holds(complaint, "XPC connection error") || holds(complaint, "container system start") || holds(complaint, "apiserver is not running");
}

Error no_services(const std::string& what, const std::string& complaint) {
  return {KORTEX_E_UNAVAILABLE, "cannot " + what + ": the services of Apple's container do not run", start_hint, complaint};
}

bool Tool::may_be_here([[maybe_unused]] const std::string& program) {
#if defined(__APPLE__) && defined(__aarch64__)
  return true;
#else
  return !program.empty();
#endif
}

Tool::Tool(const Call& call, const std::string& program) : m_call(call), m_program(program) {
  if (!may_be_here(m_program)) throw Error(KORTEX_E_UNAVAILABLE, "cannot use Apple's container: it needs macOS 26 on Apple silicon");
  if (m_program.empty()) m_program = "container";
}

Tool::Said Tool::ask(const std::string& what, std::vector<std::string> arguments, std::chrono::milliseconds limit) {
  Process process;
  const std::string command = arguments.front();
  process.argv = std::move(arguments);
  process.argv.insert(process.argv.begin(), m_program);
  process.timeout = limit;
  try {
    const ProcessResult result = m_call.run(process);
    return {result.exit_code, result.out, result.err};
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    if (error.code == KORTEX_E_UNAVAILABLE && m_program == "container")
      throw Error(KORTEX_E_UNAVAILABLE, "cannot use Apple's container: it is not installed", "https://github.com/apple/container/releases");
    if (error.code != KORTEX_E_TIMEOUT) throw;
    m_call.throw_if_cancelled();
    throw Error(KORTEX_E_TIMEOUT, "cannot " + what + ": 'container " + command + "' did not answer in " +
                                      std::to_string((limit.count() + 999) / 1000) + " seconds", "container system status");
  }
}

void Tool::refuse(const std::string& what, const Said& said) {
  if (tells_of_no_services(said.err)) throw no_services(what, said.err);
  // Its argument parser's own status for what it does not know.
  if (said.status == 64)
    throw Error(KORTEX_E_BACKEND, "cannot " + what + ": container " + version().text() + " does not take what it was given", "", said.err);
  throw Error(KORTEX_E_BACKEND, "cannot " + what + ": " + reason_in(said.err), "", said.err);
}

std::string Tool::run(const std::string& what, std::vector<std::string> arguments, std::chrono::milliseconds limit) {
  (void)version();
  Said said = ask(what, std::move(arguments), limit);
  if (said.status != 0) refuse(what, said);
  return std::move(said.out);
}

const Version& Tool::version() {
  if (m_version) return *m_version;
  const Said said = ask("ask for the version of Apple's container", {"--version"}, 20s);
  const std::optional<Version> found = said.status == 0 && said.out.rfind("container", 0) == 0 ? Version::find_in(said.out) : std::nullopt;
  if (!found)
    throw Error(KORTEX_E_UNAVAILABLE, "cannot use '" + m_program + "': it does not tell its version as Apple's container does", "", said.out + said.err);
  if (*found < oldest)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot use Apple's container " + found->text() + ": this runtime needs " + oldest.text() + " or newer");
  m_version = found;
  return *m_version;
}

Tool::Said Tool::status() {
  std::vector<std::string> arguments{"system", "status"};
  if (has_status_as_json(version())) arguments.insert(arguments.end(), {"--format", "json"});
  const std::string what = "ask for the state of Apple's container";
  Said said = ask(what, arguments, 20s);
  if (said.status == 64) refuse(what, said);
  // It ends with 1 when they are down; one that says so with another status is believed as well.
  if (said.status != 0 || holds(said.out, "not running") || holds(said.out, "not registered"))
    throw no_services("use Apple's container", has_status_as_json(version()) ? said.err : said.out + said.err);
  return said;
}

void Tool::need_services() { (void)services_version(); }

std::string Tool::services_version() {
  const Said said = status();
  if (!has_status_as_json(version())) return {};
  const json::value told = parsed(said.out, "tell the state of its services", version());
  const std::string word = engine::text_at(told, {"status"});
  if (word.empty()) throw Error(KORTEX_E_BACKEND, "cannot understand what container " + version().text() + " says: its services have no status", "", said.out);
  if (word != "running") throw no_services("use Apple's container", {});
  // Flat up to 1.4.0, in parts since 1.4.1.
  const std::string flat = engine::text_at(told, {"apiServerVersion"});
  return flat.empty() ? engine::text_at(told, {"server", "version"}) : flat;
}

std::optional<ContainerView> Tool::inspect(const std::string& name) {
  const std::string what = "inspect container '" + name + "'";
  (void)version();
  const Said said = ask(what, {"inspect", name}, 20s);
  if (said.status != 0) {
    if (!tells_of_no_services(said.err) && tells_of_no_container(said.err, name)) return std::nullopt;
    refuse(what, said);
  }
  for (ContainerView& view : views_of(said.out, what, version()))
    if (view.id == name) return std::move(view);
  return std::nullopt;
}

std::vector<ContainerView> Tool::list() {
  const std::string what = "list the containers";
  return views_of(run(what, {"list", "--all", "--format", "json"}, 20s), what, version());
}

bool Tool::has_image(const std::string& name) {
  if (!has_images_as_json(version())) return false;  // it may have to be fetched
  const std::vector<std::string> names = image_names(run("list the images", {"image", "list", "--format", "json"}, 20s), version());
  return std::find(names.begin(), names.end(), full_image_name(name)) != names.end();
}

void Tool::create(const std::string& what, const std::vector<std::string>& arguments, std::chrono::milliseconds limit) {
  std::vector<std::string> all{"create"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  (void)run(what, std::move(all), limit);
}

void Tool::start(const std::string& what, const std::string& name) { (void)run(what, {"start", name}, 120s); }

void Tool::stop(const std::string& what, const std::string& name, std::chrono::milliseconds grace) {
  const std::int64_t seconds = (grace.count() + 999) / 1000;
  (void)run(what, {"stop", "--time", std::to_string(seconds), name}, std::chrono::seconds(seconds) + 30s);
}

void Tool::remove(const std::string& what, const std::string& name) {
  (void)version();
  const Said said = ask(what, {"delete", "--force", name}, 60s);
  if (said.status != 0 && (tells_of_no_services(said.err) || !tells_of_no_container(said.err, name))) refuse(what, said);
}

std::string Tool::logs(const std::string& name) {
  try {
    const Said said = ask("read the log of container '" + name + "'", {"logs", "-n", "20", name}, 10s);
    return said.out + said.err;
  } catch (const Cancelled&) {
    throw;
  } catch (const Error&) {
    return {};  // it is only to explain another failure
  }
}

}  // namespace kortex::apple
