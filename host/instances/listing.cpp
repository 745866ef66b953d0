#include "instances/listing.hpp"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <system_error>
#include <thread>

#include "instances/names.hpp"
#include "instances/record_reader.hpp"
#include "instances/store_layout.hpp"
#include "system/error.hpp"

namespace kortex::host {

namespace {

constexpr std::size_t at_a_time = 64;

/// Those we may use; std::thread::hardware_concurrency() reads a file for it.
std::size_t processors() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? static_cast<std::size_t>(CPU_COUNT(&set)) : 1;
}

[[noreturn]] void fail(const std::filesystem::path& root, int error) {
  throw Error(ErrorKind::failed, "cannot read the store '" + root.string() + "': " + reason_of(error));
}

bool is_before(const Summary* a, const Summary* b) {
  if (a->created_ms != b->created_ms) return a->created_ms < b->created_ms;
  return a->name != b->name ? a->name < b->name : a->id < b->id;
}

}  // namespace

Listing::Listing(const std::filesystem::path& root, const std::function<void(const Summary&)>& first) {
  m_parts.resize(1);
  const Fd directory = open_workspaces(root);
  if (!directory) {
    if (errno == ENOENT) return;
    fail(root, errno);
  }
  std::vector<std::string_view> ids;
  try {
    for_each_entry(workspaces_of(root), [&](std::string_view name) {
      if (!is_workspace_id(name)) return;
      ids.push_back(m_parts.front().pool.keep(name));
      if (ids.size() > 1 || !first) return;
      TextPool pool;
      Summary summary;
      if (RecordReader(root, directory.get()).read(ids.front(), Summary(), summary, pool)) first(summary);
    });
  } catch (const std::system_error& error) {
    fail(root, error.code().value());
  }
  if (ids.empty()) return;
  // Starting a thread costs as much as reading some ten records.
  const std::size_t workers = std::clamp<std::size_t>(std::min<std::size_t>(processors(), ids.size() / 100), 1, 4);
  m_parts.resize(workers);
  std::atomic<std::size_t> next{0};
  const auto work = [&](Part& part) {
    RecordReader reader(root, directory.get());
    // For all, since no thread knows how many it will read; memory that is not touched costs nothing.
    part.summaries.reserve(ids.size());
    const Summary none;
    const Summary* last = &none;
    for (std::size_t from = 0; (from = next.fetch_add(at_a_time, std::memory_order_relaxed)) < ids.size();)
      for (std::size_t i = from; i < std::min(from + at_a_time, ids.size()); ++i) {
        Summary& summary = part.summaries.emplace_back();
        if (reader.read(ids[i], *last, summary, part.pool)) last = &summary;
        else part.summaries.pop_back();
      }
    part.order.reserve(part.summaries.size());
    for (const Summary& summary : part.summaries) part.order.push_back(&summary);
    std::sort(part.order.begin(), part.order.end(), is_before);
  };
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 1; i < workers; ++i) threads.emplace_back(work, std::ref(m_parts[i]));
    work(m_parts.front());
  }
  m_order.reserve(ids.size());
  for (const Part& part : m_parts) {
    const auto middle = static_cast<std::ptrdiff_t>(m_order.size());
    m_order.insert(m_order.end(), part.order.begin(), part.order.end());
    std::inplace_merge(m_order.begin(), m_order.begin() + middle, m_order.end(), is_before);
  }
}

}  // namespace kortex::host
