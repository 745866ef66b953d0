/// Reads records below one descriptor of workspaces/, with one buffer for all of them.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "instances/store.hpp"
#include "instances/summary.hpp"

namespace kortex::host {

class RecordReader {
 public:
  RecordReader(const std::filesystem::path& root, int workspaces);

  /// nullopt: there is no such workspace (any more).
  [[nodiscard]] std::optional<Entry> read(const std::string& id);
  /// The same for a list; texts are kept in the pool, which is that of `last`. False: there is no such workspace.
  [[nodiscard]] bool read(std::string_view id, const Summary& last, Summary&, TextPool&);

 private:
  enum class Found { nothing, text, problem };
  Found load(std::string_view id, std::string& problem);
  [[nodiscard]] std::string file_of(std::string_view id) const;
  [[nodiscard]] std::string_view text() const { return std::string_view(m_buffer).substr(0, m_size); }
  void broken(Entry&, std::string problem) const;
  void parse(Entry&) const;

  const std::filesystem::path& m_root;
  std::string m_directory;  ///< with a slash at the end
  int m_workspaces;
  std::string m_relative;
  std::string m_buffer;
  std::size_t m_size = 0;
};

}  // namespace kortex::host
