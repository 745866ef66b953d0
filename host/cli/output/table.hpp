/// Columns aligned by what a terminal shows, no borders, two spaces between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kortex::host {

enum class Tint { plain, good, bad, faint };

class Table {
 public:
  struct Cell {
    std::string text;  ///< made printable by render()
    Tint tint = Tint::plain;
    Cell(std::string content, Tint colour = Tint::plain) : text(std::move(content)), tint(colour) {}
    Cell(const char* content) : text(content) {}
  };

  explicit Table(std::vector<std::string> head) : m_head(std::move(head)) {}
  void add(std::vector<Cell> row) { m_rows.push_back(std::move(row)); }
  [[nodiscard]] bool empty() const { return m_rows.empty(); }

  /// Without the last column's trailing spaces. An empty table renders as nothing.
  [[nodiscard]] std::string render(bool colours) const;

 private:
  std::vector<std::string> m_head;
  std::vector<std::vector<Cell>> m_rows;
};

/// "label:  value" lines, the values aligned; what has an empty value is left out. An empty label continues the one above.
class Fields {
 public:
  void add(std::string label, std::string_view value);
  [[nodiscard]] std::string render() const;

 private:
  std::vector<std::pair<std::string, std::string>> m_fields;
};

}  // namespace kortex::host
