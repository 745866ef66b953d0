#include "engine/image.hpp"

#include <algorithm>
#include <cctype>
#include <exception>
#include <thread>

#include <kortex/fd.hpp>

#include "engine/credentials.hpp"
#include "engine/plan.hpp"

namespace kortex::engine {
namespace {

constexpr std::size_t log_limit = 256 * 1024;

/// Runs the builder on a second thread, so that its output can be read here as it comes.
class Builder {
 public:
  Builder(const Call& call, Process process) : m_pipe(Pipe::make()) {
    process.stdout_fd = process.stderr_fd = m_pipe.write.get();
    m_thread = std::thread([this, &call, process = std::move(process)] {
      try {
        m_exit_code = call.run(process).exit_code;
      } catch (...) {
        m_error = std::current_exception();
      }
      m_pipe.write.reset();
    });
  }
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;
  ~Builder() {
    if (m_thread.joinable()) m_thread.join();
  }

  [[nodiscard]] int output() const { return m_pipe.read.get(); }
  int wait() {
    m_thread.join();
    if (m_error) std::rethrow_exception(m_error);
    return m_exit_code;
  }

 private:
  Pipe m_pipe;
  int m_exit_code = -1;
  std::exception_ptr m_error;
  std::thread m_thread;
};

std::string last_line(const std::string& text) {
  std::size_t end = text.find_last_not_of("\r\n ");
  if (end == std::string::npos) return {};
  const std::size_t start = text.find_last_of("\r\n", end);
  return text.substr(start == std::string::npos ? 0 : start + 1, end - (start == std::string::npos ? 0 : start + 1) + 1);
}

/// Engines answer what is no name with redirections and with questions to registries.
bool is_image_name(const std::string& name) {
  if (name.empty() || name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-/:@+") != std::string::npos) return false;
  std::size_t at = 0, parts = 0;
  for (; at <= name.size(); ++parts) {
    const std::size_t end = std::min(name.find('/', at), name.size());
    const std::string part = name.substr(at, end - at);
    const bool registry = parts == 0 && end < name.size() && part.find_first_of(".:ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos;
    const std::string plain = part.substr(0, part.find_first_of(":@"));
    if (plain.empty() || std::isalnum(static_cast<unsigned char>(plain.front())) == 0) return false;
    if (!registry && plain.find_first_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string::npos) return false;
    at = end + 1;
  }
  return name.back() != ':' && name.back() != '@';
}

}  // namespace

std::string built_image_name(const std::string& key) { return "localhost/kortex-" + key + ":latest"; }

void ensure_image(const Call& call, Api& api, const std::string& name, const std::string& pull_hint,
                  const std::vector<std::string>& credential_files) {
  if (!is_image_name(name)) throw Error(KORTEX_E_INVALID, "cannot use image '" + name + "': that is not the name of an image");
  if (!api.image(name).is_null()) return;
  call.progress("pull", "fetching image " + name);
  try {
    api.pull(name, registry_auth(call, credential_files, name), [&](std::int64_t done, std::int64_t total, const std::string& status) {
      call.progress("pull", status.empty() ? name : status, done, total);
    });
  } catch (const Cancelled&) {
    throw;
  } catch (const Error& error) {
    if (error.code == KORTEX_E_TIMEOUT) throw;
    // NOT_FOUND of an image must not read as "the instance is gone".
    std::string why = error.what();
    if (const std::string prefix = "cannot pull image '" + name + "': "; why.rfind(prefix, 0) == 0) why.erase(0, prefix.size());
    throw Error(error.code == KORTEX_E_NOT_FOUND ? KORTEX_E_FAILED : error.code, "image '" + name + "' is not here and cannot be fetched: " + why,
                pull_hint, error.detail);
  }
  if (api.image(name).is_null())
    throw Error(KORTEX_E_BACKEND, "cannot pull image '" + name + "': " + api.engine() + " does not have it afterwards", pull_hint);
}

void build_image(const Call& call, std::vector<std::string> command, const std::string& tag, const std::string& key,
                 const Workspace& workspace) {
  const std::string what = "cannot build the image from '" + workspace.build_context + "': ";
  Process process;
  process.argv = std::move(command);
  for (const std::string& word : {std::string("build"), std::string("--force-rm"), std::string("--tag"), tag, std::string("--label"), std::string(label_key) + "=" + key})
    process.argv.push_back(word);
  if (!workspace.build_file.empty()) {
    process.argv.emplace_back("--file");
    process.argv.push_back(workspace.build_file);
  }
  process.argv.push_back(workspace.build_context);
  const std::string program = process.argv[0];

  call.progress("build", "building the image");
  Builder builder(call, std::move(process));
  std::string log, line;
  char buffer[16 * 1024];
  for (;;) {
    // Cancelling ends the program, and that the pipe: no need to watch for it here.
    const ssize_t got = ::read(builder.output(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break;
    const std::string_view piece(buffer, static_cast<std::size_t>(got));
    log += piece;
    if (log.size() > log_limit) log.erase(0, log.size() - log_limit);
    line += piece;
    if (const std::size_t end = line.rfind('\n'); end != std::string::npos) {
      if (const std::string step = last_line(line.substr(0, end)); !step.empty()) call.progress("build", step);
      line.erase(0, end + 1);
    }
  }
  const int code = builder.wait();
  if (code == 0) return;
  throw Error(KORTEX_E_BACKEND, what + "'" + program + " build' ended with status " + std::to_string(code), "", log);
}

}  // namespace kortex::engine
