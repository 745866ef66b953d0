#include "runtimes/inquiry.hpp"

#include <cstring>
#include <string>
#include <string_view>
#include <unordered_map>

#include "runtimes/description.hpp"

namespace kortex::host {
namespace {

/// key, id, name and state directory of each, every one with its NUL.
std::string bytes_of(const std::vector<kortex_ref>& refs) {
  std::string bytes;
  bytes.reserve(refs.size() * 256);
  for (const kortex_ref& ref : refs)
    for (const char* text : {ref.key, ref.id == nullptr ? "" : ref.id, ref.name, ref.state_dir}) bytes.append(text, std::strlen(text) + 1);
  return bytes;
}

/// Of the bytes, which outlive it.
std::vector<kortex_ref> refs_in(const std::string& bytes) {
  std::vector<kortex_ref> refs;
  const char* at = bytes.data();
  const auto text = [&] {
    const char* const start = at;
    at += std::strlen(at) + 1;
    return start;
  };
  while (at < bytes.data() + bytes.size()) {
    kortex_ref& ref = refs.emplace_back();
    ref.struct_size = sizeof ref;
    ref.key = text();
    ref.id = text();
    if (*ref.id == '\0') ref.id = nullptr;
    ref.name = text();
    ref.state_dir = text();
  }
  return refs;
}

kortex_status inspect(const OpenPlugin& open, std::chrono::milliseconds timeout) {
  const std::optional<std::string> bytes = open.child.ask({});
  if (!bytes) return KORTEX_E_CANCELLED;
  const std::vector<kortex_ref> refs = refs_in(*bytes);
  if (refs.empty()) return KORTEX_OK;
  std::vector<const kortex_ref*> pointers;
  pointers.reserve(refs.size());
  for (const kortex_ref& ref : refs) pointers.push_back(&ref);
  open.child.stage("inspect", timeout);
  return open.plugin.inspect(open.runtime, open.call, pointers.data(), pointers.size());
}

/// Puts what a runtime reports where it belongs.
class Collection {
 public:
  explicit Collection(const std::vector<kortex_ref>& refs) : m_refs(refs), m_instances(refs.size()), m_seen(refs.size()) {}

  void take(Instance&& instance) {
    const std::optional<std::size_t> place = place_of(instance.key);
    if (!place || m_seen[*place]) {
      if (m_surplus.empty()) m_surplus = instance.key.empty() ? "?" : instance.key;
      if (!place) return;
    } else {
      ++m_count;
    }
    m_seen[*place] = true;
    m_instances[*place] = std::move(instance);
  }

  InquiryResult result(const PluginFile& file, std::optional<Error> error) {
    for (std::size_t i = 0; i < m_refs.size(); ++i)
      if (!m_seen[i]) m_instances[i].key = m_refs[i].key;
    if (!error) {
      const auto bug = [&](const std::string& what) {
        error = Error(ErrorKind::failed, title_of(file) + " reported " + what + " in inspect (bug in the runtime)");
      };
      if (m_count < m_refs.size()) bug(std::to_string(m_count) + " of " + std::to_string(m_refs.size()) + " instances");
      else if (!m_surplus.empty()) bug("instance '" + m_surplus + "' once too often");
    }
    return {std::move(m_instances), std::move(error)};
  }

 private:
  std::optional<std::size_t> place_of(std::string_view key) {
    if (m_turn < m_refs.size() && key == m_refs[m_turn].key) return m_turn++;
    if (m_places.empty())
      for (std::size_t i = 0; i < m_refs.size(); ++i) m_places.emplace(m_refs[i].key, i);
    const auto place = m_places.find(key);
    if (place == m_places.end()) return std::nullopt;
    m_turn = place->second + 1;
    return place->second;
  }

  const std::vector<kortex_ref>& m_refs;
  std::vector<Instance> m_instances;
  std::vector<bool> m_seen;
  std::unordered_map<std::string_view, std::size_t> m_places;  // of keys in the refs; made for the first answer out of turn
  std::size_t m_turn = 0, m_count = 0;
  std::string m_surplus;  // the first key nobody asked for, or asked for once and reported twice
};

}  // namespace

std::size_t Inquiry::begin(PluginFile file, RuntimeContext context, KeyValues global_options) {
  const std::size_t place = m_asked.size();
  Asked& asked = m_asked.emplace_back(Asked{std::move(file), std::move(context), std::move(global_options), {}});
  asked.spec.file = &asked.file;
  asked.spec.context = &asked.context;
  asked.spec.function = "inspect";
  asked.spec.timeout = m_timeout;
  asked.spec.global_options = [&asked](const kortex_plugin& plugin) -> std::optional<KeyValues> {
    return with_global_defaults(plugin, asked.global_options);
  };
  asked.spec.body = [timeout = m_timeout](const OpenPlugin& open) { return inspect(open, timeout); };
  asked.spec.answer = [this, place](std::string_view, const std::string&) { return Answer{bytes_of(m_refs[place]), -1}; };
  asked.spec.on_instance = [this, place](Instance&& instance) { m_on_instance(place, std::move(instance)); };
  asked.spec.ends_later = true;
  m_operations.start(asked.spec);
  return place;
}

std::vector<InquiryResult> Inquiry::finish(std::vector<std::vector<kortex_ref>> refs, const std::function<void()>& meanwhile) {
  m_refs = std::move(refs);
  m_refs.resize(m_asked.size());
  std::vector<Collection> collections;
  const auto prepare = [&] {
    // No sooner than needed: it takes its time for ten thousand, and the runtimes are at work now.
    if (collections.empty())
      for (const auto& each : m_refs) collections.emplace_back(each);
  };
  m_on_instance = [&](std::size_t place, Instance&& instance) {
    prepare();
    collections[place].take(std::move(instance));
  };
  std::vector<OperationResult> ended = m_operations.finish([&] {
    prepare();
    if (meanwhile) meanwhile();
  });
  m_on_instance = nullptr;
  std::vector<InquiryResult> results;
  for (std::size_t i = 0; i < m_asked.size(); ++i) results.push_back(collections[i].result(m_asked[i].file, std::move(ended[i].error)));
  return results;
}

}  // namespace kortex::host
