#include "layers.hpp"

#include <set>

namespace kortex::microvm {

namespace {

constexpr const char* mark = ".wh.";
constexpr const char* mark_of_marks = ".wh..wh.";
constexpr const char* opaque = ".wh..wh..opq";
constexpr unsigned most_links = 40;

bool begins_with(const std::string& text, const std::string& begin) { return text.compare(0, begin.size(), begin) == 0; }

std::vector<std::string> parts_of(const std::string& path) {
  std::vector<std::string> parts;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    if (const std::string part = path.substr(at, end - at); !part.empty() && part != ".") parts.push_back(part);
    at = end + 1;
  }
  return parts;
}

std::string joined(const std::string& directory, const std::string& name) { return directory.empty() ? name : directory + "/" + name; }

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

std::string name_of(const std::string& path) { return path.substr(path.rfind('/') + 1); }

/// Relative to the root, without anything that leads out of it.
std::string clean(const std::string& path) {
  std::string out;
  for (const std::string& part : parts_of(path)) {
    if (part == "..") throw BadArchive("its entry '" + path + "' leads out of it");
    out = joined(out, part);
  }
  return out;
}

bool is_the_markers_own(const std::string& path) {
  for (const std::string& part : parts_of(path))
    if (begins_with(part, mark_of_marks) && part != opaque) return true;
  return false;
}

}  // namespace

/// With what is a symbolic link followed, within the root: a layer may have been made below another's link (/lib to /usr/lib).
std::string Layers::resolved_directory(const std::string& path) const {
  std::vector<std::string> rest = parts_of(path);
  std::string at;
  for (unsigned followed = 0; !rest.empty();) {
    const std::string part = rest.front();
    rest.erase(rest.begin());
    if (part == "..") {
      at = parent_of(at);
      continue;
    }
    const std::string next = joined(at, part);
    const auto found = m_places.find(next);
    if (found == m_places.end() || m_nodes[found->second.node].kind != Kind::symbolic_link) {
      at = next;
      continue;
    }
    if (++followed > most_links) throw BadArchive("its entry '" + path + "' lies behind too many symbolic links");
    const std::string& link = m_nodes[found->second.node].link;
    if (begins_with(link, "/")) at.clear();
    const std::vector<std::string> more = parts_of(link);
    rest.insert(rest.begin(), more.begin(), more.end());
  }
  return at;
}

std::string Layers::resolved(const std::string& path) const { return joined(resolved_directory(parent_of(path)), name_of(path)); }

/// What lies below `path`, and `path`, as far as layers before `before_layer` have put it there.
void Layers::erase(const std::string& path, bool and_itself, std::size_t before_layer) {
  if (const auto found = m_places.find(path); and_itself && found != m_places.end() && found->second.layer < before_layer) m_places.erase(found);
  const std::string below = path.empty() ? path : path + "/";
  for (auto at = m_places.lower_bound(below); at != m_places.end() && begins_with(at->first, below);)
    at = at->second.layer < before_layer ? m_places.erase(at) : std::next(at);
}

void Layers::put(const std::string& path, std::size_t node) {
  const std::size_t layer = m_layers.size() - 1;
  for (std::string above = parent_of(path); !above.empty(); above = parent_of(above))
    if (const auto found = m_places.find(above); found != m_places.end() && m_nodes[found->second.node].kind != Kind::directory) m_places.erase(found);
  if (m_nodes[node].kind != Kind::directory) erase(path, true, layer + 1);
  m_places[path] = {node, layer};
}

void Layers::add(const Span& layer, bool marks, const std::function<void()>& between) {
  m_layers.push_back(layer);
  const std::size_t number = m_layers.size() - 1;
  TarReader reader(layer);
  for (std::size_t count = 0; const std::optional<TarEntry> entry = reader.next(); ++count) {
    if (between && count % 256 == 0) between();
    const std::string plain = clean(entry->path);
    if (plain.empty()) {
      if (entry->kind != Kind::directory) throw BadArchive("its entry '" + entry->path + "' has no name");
      const auto number_of = [&](const auto& field) { return tar_number(*entry, field.first, field.second); };
      m_root = {number_of(tar_mode) & 07777, number_of(tar_uid), number_of(tar_gid)};
      continue;
    }
    if (marks && is_the_markers_own(plain)) continue;
    const std::string path = resolved(plain), name = name_of(path);
    if (marks && name == opaque) {
      erase(parent_of(path), false, number);
    } else if (marks && begins_with(name, mark)) {
      if (const std::string taken = name.substr(4); !taken.empty() && taken != "." && taken != "..") erase(joined(parent_of(path), taken), true, number);
    } else if (entry->kind == Kind::hard_link) {
      const std::string target = resolved(clean(entry->link));
      const auto found = m_places.find(target);
      if (found == m_places.end()) throw BadArchive("its hard link '" + plain + "' is to '" + entry->link + "', which is not there");
      if (m_nodes[found->second.node].kind == Kind::directory) throw BadArchive("its hard link '" + plain + "' is to '" + entry->link + "', which is a directory");
      if (path != target) put(path, std::size_t{found->second.node});
    } else {
      m_nodes.push_back({number, entry->begin, entry->kind, entry->kind == Kind::symbolic_link ? entry->link : std::string()});
      put(path, m_nodes.size() - 1);
    }
  }
}

void Layers::write(int fd) const {
  std::vector<TarReader> readers;
  for (const Span& layer : m_layers) readers.emplace_back(layer);
  std::set<std::string> undescribed;
  std::vector<std::vector<const std::string*>> paths(m_nodes.size());
  for (const auto& [path, place] : m_places) {
    paths[place.node].push_back(&path);
    for (std::string above = parent_of(path); !above.empty() && m_places.count(above) == 0; above = parent_of(above))
      if (!undescribed.insert(above).second) break;
  }
  auto next = undescribed.begin();
  for (const auto& [path, place] : m_places) {
    for (; next != undescribed.end() && *next < path; ++next) write_directory(fd, *next);
    const Node& node = m_nodes[place.node];
    if (node.kind == Kind::directory) write_entry(fd, readers[node.layer].at(node.begin), path);
  }
  for (std::size_t number = 0; number < m_nodes.size(); ++number) {
    const Node& node = m_nodes[number];
    if (node.kind == Kind::directory || paths[number].empty()) continue;
    const TarEntry entry = readers[node.layer].at(node.begin);
    write_entry(fd, entry, *paths[number].front());
    for (std::size_t i = 1; i < paths[number].size(); ++i) write_hard_link(fd, entry, *paths[number][i], *paths[number].front());
  }
  write_end(fd);
}

}  // namespace kortex::microvm
