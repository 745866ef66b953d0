#include "instances/record_reader.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <kortex/fd.hpp>
#include <system_error>

#include "instances/store_layout.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

constexpr std::size_t longest_record = 1024 * 1024;

Summary kept(const Entry& entry, TextPool& pool) {
  Summary summary = summary_of(entry);
  for (std::string_view* text : {&summary.name, &summary.problem, &summary.project, &summary.agent, &summary.model, &summary.runtime, &summary.source, &summary.isolation,
                                 &summary.configuration, &summary.key, &summary.instance_id})
    *text = pool.keep(*text);
  return summary;
}

}  // namespace

RecordReader::RecordReader(const std::filesystem::path& root, int workspaces)
    : m_root(root), m_directory(workspaces_of(root).string() + "/"), m_workspaces(workspaces), m_buffer(16 * 1024, '\0') {}

std::string RecordReader::file_of(std::string_view id) const {
  return m_directory + std::string(id) + "/" + std::string(record_file);
}

RecordReader::Found RecordReader::load(std::string_view id, std::string& problem) {
  const auto unreadable = [&](int error) {
    problem = "cannot read '" + file_of(id) + "': " + reason_of(error);
    // Nothing is wrong with the record, and nobody may be told to remove it.
    if (error == EMFILE || error == ENFILE || error == ENOMEM) throw Error(ErrorKind::failed, problem);
    return Found::problem;
  };
  m_relative.assign(id).append("/").append(record_file);
  const Fd fd(::openat(m_workspaces, m_relative.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!fd) {
    const int error = errno;
    struct stat status {};
    if (error == ENOENT && ::fstatat(m_workspaces, std::string(id).c_str(), &status, 0) != 0) return Found::nothing;
    return unreadable(error);
  }
  m_size = 0;
  for (;;) {
    const std::size_t room = m_buffer.size() - m_size;
    const ssize_t n = ::read(fd.get(), m_buffer.data() + m_size, room);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return unreadable(errno);
    m_size += static_cast<std::size_t>(n);
    if (static_cast<std::size_t>(n) < room) return Found::text;  // a short read of a regular file is its end
    if (m_size > longest_record) {
      problem = "cannot read '" + file_of(id) + "': larger than 1 MiB";
      return Found::problem;
    }
    m_buffer.resize(m_size * 2);
  }
}

void RecordReader::broken(Entry& entry, std::string problem) const {
  entry.record.reset();
  entry.problem = std::move(problem);
  try {
    entry.name = name_of(m_root, entry.id);
  } catch (const std::system_error&) {
    // Without names it is shown by its id.
  }
}

void RecordReader::parse(Entry& entry) const {
  const std::string file = file_of(entry.id);
  try {
    entry.record.emplace(parse_record(text(), file));
    entry.name = entry.record->name;
    if (entry.record->id != entry.id) broken(entry, file + ": belongs to another workspace, " + short_id(entry.record->id));
  } catch (const Error& error) {
    broken(entry, error.message());
  }
}

std::optional<Entry> RecordReader::read(const std::string& id) {
  Entry entry;
  entry.id = id;
  std::string problem;
  switch (load(id, problem)) {
    case Found::nothing: return std::nullopt;
    case Found::problem: broken(entry, std::move(problem)); break;
    case Found::text: parse(entry); break;
  }
  return entry;
}

bool RecordReader::read(std::string_view id, const Summary& last, Summary& summary, TextPool& pool) {
  std::string problem;
  const Found found = load(id, problem);
  if (found == Found::nothing) return false;
  if (found == Found::problem || !read_summary(text(), id, last, summary, pool)) {
    Entry entry;
    entry.id = id;
    if (found == Found::problem) broken(entry, std::move(problem));
    else parse(entry);
    summary = kept(entry, pool);
  }
  summary.id = id;
  summary.state_dir = pool.keep({m_directory, id, "/runtime"});
  return true;
}

}  // namespace kortex::host
