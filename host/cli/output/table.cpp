#include "cli/output/table.hpp"

#include <algorithm>

#include "cli/output/text.hpp"

namespace kortex::host {
namespace {

std::string_view start_of(Tint tint) {
  switch (tint) {
    case Tint::good: return "\033[32m";
    case Tint::bad: return "\033[31m";
    case Tint::faint: return "\033[2m";
    case Tint::plain: break;
  }
  return {};
}

}  // namespace

std::string Table::render(bool colours) const {
  if (m_rows.empty()) return {};
  std::vector<std::vector<Cell>> rows;
  rows.reserve(m_rows.size() + 1);
  std::vector<Cell> head;
  for (const std::string& title : m_head) head.emplace_back(title);
  rows.push_back(std::move(head));
  rows.insert(rows.end(), m_rows.begin(), m_rows.end());

  std::vector<std::size_t> widths(m_head.size(), 0);
  for (std::vector<Cell>& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      row[i].text = printable(row[i].text);
      widths[i] = std::max(widths[i], display_width(row[i].text));
    }
  }
  std::string result;
  for (const std::vector<Cell>& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      const bool tinted = colours && row[i].tint != Tint::plain;
      if (tinted) line += start_of(row[i].tint);
      line += row[i].text;
      if (tinted) line += "\033[0m";
      if (i + 1 < row.size()) line.append(widths[i] + 2 - display_width(row[i].text), ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    result += line + '\n';
  }
  return result;
}

void Fields::add(std::string label, std::string_view value) {
  if (!value.empty()) m_fields.emplace_back(std::move(label), printable(value));
}

std::string Fields::render() const {
  std::size_t width = 0;
  for (const auto& [label, value] : m_fields) width = std::max(width, label.size());
  std::string result;
  for (const auto& [label, value] : m_fields) {
    const std::string start = label.empty() ? std::string() : label + ':';
    result += start + std::string(width + 3 - start.size(), ' ') + value + '\n';
  }
  return result;
}

}  // namespace kortex::host
