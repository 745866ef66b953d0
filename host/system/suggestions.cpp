#include "system/suggestions.hpp"

#include <algorithm>
#include <cstddef>
#include <utility>

namespace kortex::host {
namespace {

constexpr std::size_t max_distance = 2;
constexpr std::size_t max_suggestions = 3;

/// Optimal string alignment: a swap of neighbours is the commonest typing mistake and counts as one.
std::size_t distance(std::string_view a, std::string_view b) {
  const std::size_t columns = b.size() + 1;
  std::vector<std::size_t> before(columns), above(columns), row(columns);
  for (std::size_t j = 0; j < columns; ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j < columns; ++j) {
      const std::size_t substitution = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, substitution});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
    std::swap(before, above);
    std::swap(above, row);
  }
  return above[b.size()];
}

}  // namespace

std::vector<std::string> nearest(std::string_view given, const std::vector<std::string>& known) {
  std::vector<std::pair<std::size_t, std::string>> close;
  for (const std::string& name : known) {
    const std::size_t longer = std::max(name.size(), given.size());
    if (longer - std::min(name.size(), given.size()) > max_distance) continue;
    const std::size_t away = distance(given, name);
    // Two edits turn any two-letter name into any other: that is no likeness.
    if (away <= max_distance && away < longer) close.emplace_back(away, name);
  }
  std::sort(close.begin(), close.end());
  close.erase(std::unique(close.begin(), close.end()), close.end());
  if (close.size() > max_suggestions) close.resize(max_suggestions);
  std::vector<std::string> names;
  for (auto& [away, name] : close) names.push_back(std::move(name));
  return names;
}

}  // namespace kortex::host
