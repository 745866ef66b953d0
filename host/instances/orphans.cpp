#include "instances/orphans.hpp"

#include <algorithm>
#include <deque>
#include <map>
#include <set>
#include <string_view>

#include "system/error.hpp"

namespace kortex::host {

namespace {

constexpr std::size_t key_digits = 12;  ///< of the workspace's id, at a key's end: see key_for()

/// Whose instances are not to be touched. Of a record that cannot be read, its id tells the key.
class Owners {
 public:
  void add(const Listing& workspaces) {
    for (const Summary* workspace : workspaces.in_order()) {
      m_keys.emplace(workspace->key);
      m_digits.emplace(workspace->id.substr(0, key_digits));
    }
  }
  [[nodiscard]] bool have(const std::string& key) const {
    if (key.size() < key_digits) return true;  // no key of ours
    return m_keys.count(key) != 0 || m_digits.count(key.substr(key.size() - key_digits)) != 0;
  }

 private:
  std::set<std::string> m_keys, m_digits;
};

/// The ways in which a runtime is used: its own defaults, and whatever the workspaces have chosen.
std::map<std::string, std::set<KeyValues>> uses(const Listing& workspaces) {
  std::map<std::string, std::set<KeyValues>> uses;
  for (const Summary* workspace : workspaces.in_order())
    if (workspace->readable) uses[std::string(workspace->runtime)].insert(workspace->global_options);
  return uses;
}

}  // namespace

Orphans find_orphans(const Store& store, const Registry& registry, const ManagerContext& context, std::chrono::milliseconds timeout) {
  Orphans orphans;
  Owners owners;
  std::map<std::string, std::set<KeyValues>> options;
  {
    const Listing before = store.list();
    owners.add(before);
    options = uses(before);
  }
  std::deque<Runtime> runtimes;
  std::vector<ListQuestion> questions;
  std::vector<std::string> marks;  ///< by question
  for (const PluginFile& file : registry.scan()) {
    if (!file.loadable() || file.shadowed) continue;
    std::string mark;
    try {
      mark = store.known_mark(file.name);
    } catch (const Error& error) {
      orphans.problems.push_back("what runtime '" + file.name + "' has left cannot be told: " + error.message());
    }
    if (mark.empty()) continue;  // it never made anything for this store
    const Runtime& runtime = runtimes.emplace_back(file, context.runtime_context(file.name));
    options[file.name].insert(KeyValues{});
    for (const KeyValues& given : options[file.name]) {
      questions.push_back({&runtime, given});
      marks.push_back(mark);
    }
  }
  std::vector<ListAnswer> answers = list_all(questions, timeout);
  owners.add(store.list());

  std::set<std::pair<std::string, std::string>> seen;  // the same engine may be reached in two ways
  for (std::size_t i = 0; i < answers.size(); ++i) {
    const PluginFile& file = questions[i].runtime->file();
    if (answers[i].error) {
      const std::string problem = "what runtime '" + file.name + "' has left cannot be told: " + answers[i].error->message();
      if (std::find(orphans.problems.begin(), orphans.problems.end(), problem) == orphans.problems.end()) orphans.problems.push_back(problem);
    }
    for (Instance& instance : answers[i].instances)
      if (instance.store == marks[i] && !owners.have(instance.key) && instance.state != State::gone && seen.emplace(file.name, instance.key).second)
        orphans.found.push_back({file, questions[i].global_options, std::move(instance)});
  }
  std::stable_sort(orphans.found.begin(), orphans.found.end(), [](const Orphan& a, const Orphan& b) {
    return a.file.name != b.file.name ? a.file.name < b.file.name : a.instance.created_ms < b.instance.created_ms;
  });
  return orphans;
}

}  // namespace kortex::host
