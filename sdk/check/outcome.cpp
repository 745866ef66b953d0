#include "outcome.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cstring>

#include "test.hpp"

namespace kortex::check {
namespace {

void put(std::string& out, std::string_view bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  out.append(reinterpret_cast<const char*>(&size), sizeof size);
  out.append(bytes);
}
void put_optional(std::string& out, const char* text) {
  put(out, text == nullptr ? std::string_view("0") : std::string_view("1"));
  put(out, text == nullptr ? std::string_view() : std::string_view(text));
}
template <class T>
void put_number(std::string& out, T number) {
  put(out, {reinterpret_cast<const char*>(&number), sizeof number});
}

class Fields {
 public:
  explicit Fields(std::string_view bytes) : m_bytes(bytes) {}
  std::string_view next() {
    std::uint32_t size = 0;
    if (m_bytes.size() < sizeof size) return {};
    std::memcpy(&size, m_bytes.data(), sizeof size);
    m_bytes.remove_prefix(sizeof size);
    const std::string_view field = m_bytes.substr(0, size);
    m_bytes.remove_prefix(field.size());
    return field;
  }
  std::optional<std::string> optional() {
    const bool given = next() == "1";
    const std::string_view text = next();
    return given ? std::optional<std::string>(text) : std::nullopt;
  }
  template <class T>
  T number() {
    T value{};
    const std::string_view field = next();
    if (field.size() == sizeof value) std::memcpy(&value, field.data(), sizeof value);
    return value;
  }
  [[nodiscard]] bool at_end() const { return m_bytes.empty(); }

 private:
  std::string_view m_bytes;
};

template <class T>
T plain_of(std::string_view bytes) {
  T value{};
  if (bytes.size() == sizeof value) std::memcpy(&value, bytes.data(), sizeof value);
  return value;
}

Emitted emitted_of(std::string_view bytes) {
  Fields fields(bytes);
  Emitted out;
  out.struct_size = fields.number<std::uint32_t>();
  out.state = fields.number<kortex_state>();
  out.key = fields.optional();
  out.id = fields.optional();
  out.name = fields.optional();
  out.status = fields.optional();
  out.details = fields.optional();
  out.pid = fields.number<std::int64_t>();
  out.exit_code = fields.number<std::int32_t>();
  while (!fields.at_end()) {
    EmittedForward& forward = out.forwards.emplace_back();
    forward.target = fields.number<std::uint16_t>();
    forward.port = fields.number<std::uint16_t>();
    forward.bind = std::string(fields.next());
  }
  return out;
}

}  // namespace

void Recorder::text(Tag tag, std::string_view bytes) {
  std::string record(1, static_cast<char>(tag));
  put(record, bytes);
  const std::scoped_lock lock(m_mutex);
  for (std::string_view rest = record; !rest.empty();) {
    const ssize_t n = ::write(m_fd, rest.data(), rest.size());
    if (n <= 0) return;
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
}

void Recorder::emitted(const kortex_instance& instance) {
  std::string fields;
  put_number(fields, instance.struct_size);
  put_number(fields, instance.state);
  put_optional(fields, instance.key);
  put_optional(fields, instance.id);
  put_optional(fields, instance.name);
  put_optional(fields, instance.status);
  put_optional(fields, instance.details_json);
  put_number(fields, instance.pid);
  put_number(fields, instance.exit_code);
  for (std::uint32_t i = 0; i < instance.forward_count; ++i) {
    put_number(fields, instance.forwards[i]->target);
    put_number(fields, instance.forwards[i]->port);
    put(fields, instance.forwards[i]->bind == nullptr ? "" : instance.forwards[i]->bind);
  }
  text(Tag::emitted, fields);
}

void Recorder::failure(kortex_status code, const char* message, const char* hint, const char* detail) {
  std::string fields;
  put_number(fields, code);
  for (const char* part : {message, hint, detail}) put(fields, part == nullptr ? "" : part);
  text(Tag::failure, fields);
}

Outcome read_outcome(int fd) {
  Outcome out;
  struct stat status {};
  std::string bytes;
  if (::fstat(fd, &status) == 0) bytes.resize(static_cast<std::size_t>(status.st_size));
  const ssize_t size = ::pread(fd, bytes.data(), bytes.size(), 0);
  std::string_view rest(bytes.data(), size > 0 ? static_cast<std::size_t>(size) : 0);
  while (!rest.empty()) {
    const Tag tag = static_cast<Tag>(rest.front());
    Fields fields(rest.substr(1));
    const std::string_view payload = fields.next();
    rest.remove_prefix(std::min(rest.size(), 1 + sizeof(std::uint32_t) + payload.size()));
    switch (tag) {
      case Tag::function: out.function = payload; break;
      case Tag::status: out.status = plain_of<kortex_status>(payload); break;
      case Tag::emitted: out.emitted.push_back(emitted_of(payload)); break;
      case Tag::failure: {
        Fields parts(payload);
        Failure& failure = out.failures.emplace_back();
        failure.code = parts.number<kortex_status>();
        failure.message = parts.next();
        failure.hint = parts.next();
        failure.detail = parts.next();
        break;
      }
      case Tag::result: out.results.emplace_back(payload); break;
      case Tag::output: out.output += payload; break;
      case Tag::program: ++out.programs; break;
      case Tag::complaint: out.complaints.emplace_back(payload); break;
      case Tag::exit: out.exit = plain_of<kortex_exit>(payload); break;
      case Tag::guarantees: out.guarantees = plain_of<kortex_guarantees>(payload); break;
      case Tag::value: out.values.emplace_back(payload); break;
      case Tag::started: out.unfinished.push_back(plain_of<std::int64_t>(payload)); break;
      case Tag::ended: std::erase(out.unfinished, plain_of<std::int64_t>(payload)); break;
      case Tag::elapsed: out.elapsed_ms = plain_of<std::int64_t>(payload); break;
    }
  }
  return out;
}

const char* state_name(kortex_state state) {
  static constexpr const char* names[] = {"unknown", "created", "starting", "running", "paused", "stopping", "stopped", "failed", "gone"};
  return state >= 0 && state <= KORTEX_STATE_GONE ? names[state] : "no state";
}

std::string status_name(kortex_status status) {
  static constexpr const char* names[] = {"OK",          "FAILED",     "INVALID", "NOT_FOUND", "EXISTS", "STATE",    "UNSUPPORTED", "UNAVAILABLE",
                                          "PERMISSION",  "TIMEOUT",    "CANCELLED", "BUSY",    "RESOURCE", "BACKEND", "INTERNAL"};
  if (status >= 0 && status <= KORTEX_E_INTERNAL) return names[status];
  return "code " + std::to_string(status);
}

std::string Outcome::what_happened() const {
  const std::string words = noise.empty() ? "" : "; it printed " + in_quotes(noise.size() > 2000 ? noise.substr(noise.size() - 2000) : noise);
  if (signal != 0) return function + "() crashed: signal " + std::to_string(signal) + " (" + ::strsignal(signal) + ")" + words;
  if (!status) return function + "() ended the process with status " + std::to_string(exit_status) + words;
  if (*status == KORTEX_OK) return function + "() returned OK";
  std::string text = function + "() returned " + status_name(*status);
  for (const Failure& failure : failures) {
    text += ": " + failure.message;
    if (!failure.detail.empty()) text += "; detail: " + in_quotes(failure.detail);
  }
  return text + words;
}

}  // namespace kortex::check
