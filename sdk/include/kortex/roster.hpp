/// All instances of a runtime whose backend keeps none, for list(): a file for each across instances, by which one is found
/// whose own directory went with its record. Header-only, C++17.
///
///     kortex::Roster roster(open.host.state_dir());
///     roster.add(ref, workspace.labels);     // in create(), before anything of the instance can be alive
///     roster.remove(ref.key());              // in remove(), when nothing of it is alive any more
///     for (const kortex::Roster::Entry& entry : roster.all()) …   // in list()
///
///     <state_dir of the runtime>/instances/<key>     directory <path>, label <name>=<value>…, a line each
///
/// It knows what there was, not what is alive: that the runtime finds out in its own way. Nothing is kept in memory, so that
/// many processes may use it at once. A path or label that holds a line break is left out.
#ifndef KORTEX_ROSTER_HPP
#define KORTEX_ROSTER_HPP

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <kortex/fd.hpp>
#include <kortex/types.hpp>

namespace kortex {

class Roster {
 public:
  struct Entry {
    std::string key;
    std::string directory;  ///< Ref::state_dir() when it was made; it may have gone since
    KeyValues labels;       ///< to be handed back in Instance::labels
    std::int64_t created_ms = 0;  ///< of the entry, Unix time: the instance's own story may have gone with its directory
  };

  /// Makes nothing yet.
  explicit Roster(std::string_view state_dir) : m_directory(std::string(state_dir) + "/instances") {}

  /// Replaces the entry of that key. Throws std::system_error.
  void add(const Ref& ref, const KeyValues& labels) const {
    if (::mkdir(m_directory.c_str(), 0700) != 0 && errno != EEXIST) fail("cannot make", m_directory);
    std::string text;
    if (const std::string directory = ref.state_dir(); fits_a_line(directory)) text += "directory " + directory + "\n";
    for (const auto& [name, value] : labels)
      if (fits_a_line(name) && fits_a_line(value)) text += "label " + name + "=" + value + "\n";
    const std::string path = file(ref.key()), fresh = path + ".new";
    {
      const Fd out(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
      if (!out) fail("cannot write", fresh);
      for (std::size_t at = 0; at < text.size();) {
        const ssize_t size = ::write(out.get(), text.data() + at, text.size() - at);
        if (size < 0 && errno != EINTR) fail("cannot write", fresh);
        if (size > 0) at += static_cast<std::size_t>(size);
      }
    }
    if (::rename(fresh.c_str(), path.c_str()) != 0) fail("cannot write", path);
  }

  /// No such entry: done. Takes away what an add() that was killed has left, too.
  void remove(const std::string& key) const {
    for (const char* end : {"", ".new"}) ::unlink((file(key) + end).c_str());
  }

  [[nodiscard]] bool has(const std::string& key) const { return ::access(file(key).c_str(), F_OK) == 0; }

  /// In no order. Entries that cannot be read have a key and nothing else.
  [[nodiscard]] std::vector<Entry> all() const {
    std::vector<Entry> entries;
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(m_directory.c_str()), &::closedir);
    if (!listing) return entries;
    while (const dirent* found = ::readdir(listing.get())) {
      Entry entry;
      entry.key = found->d_name;
      if (entry.key.find('.') != std::string::npos) continue;  // no key: one that is being written
      std::istringstream lines(contents(file(entry.key)));
      for (std::string line; std::getline(lines, line);) {
        if (line.compare(0, 10, "directory ") == 0) entry.directory = line.substr(10);
        const std::size_t equals = line.find('=');
        if (line.compare(0, 6, "label ") == 0 && equals != std::string::npos)
          entry.labels.emplace_back(line.substr(6, equals - 6), line.substr(equals + 1));
      }
      struct stat status {};
      if (::stat(file(entry.key).c_str(), &status) == 0)
        entry.created_ms = static_cast<std::int64_t>(status.st_mtim.tv_sec) * 1000 + status.st_mtim.tv_nsec / 1000000;
      entries.push_back(std::move(entry));
    }
    return entries;
  }

 private:
  static constexpr std::size_t largest = 64 * 1024;

  [[nodiscard]] std::string file(const std::string& key) const { return m_directory + "/" + key; }

  [[noreturn]] static void fail(const std::string& what, const std::string& path) {
    throw std::system_error(errno, std::generic_category(), what + " '" + path + "'");
  }

  static bool fits_a_line(const std::string& text) { return text.find('\n') == std::string::npos; }

  static std::string contents(const std::string& path) {
    std::string text;
    const Fd in(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
    char part[4096];
    while (in && text.size() < largest) {
      const ssize_t size = ::read(in.get(), part, sizeof part);
      if (size < 0 && errno == EINTR) continue;
      if (size <= 0) break;
      text.append(part, static_cast<std::size_t>(size));
    }
    return text;
  }

  std::string m_directory;
};

}  // namespace kortex
#endif
