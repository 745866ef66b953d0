/// All workspaces of a store as a list shows them, with the memory that their texts are in.
#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <vector>

#include "instances/summary.hpp"

namespace kortex::host {

class Listing {
 public:
  Listing() = default;
  /// By creation time, then name. Reads in parallel. Throws Error only when the store itself cannot be read. `first`: gets one
  /// of them before the others are read, and before any thread is; may be empty.
  explicit Listing(const std::filesystem::path& root, const std::function<void(const Summary&)>& first = {});
  Listing(Listing&&) = default;
  Listing& operator=(Listing&&) = default;

  [[nodiscard]] std::size_t size() const { return m_order.size(); }
  [[nodiscard]] bool empty() const { return m_order.empty(); }
  [[nodiscard]] const Summary& operator[](std::size_t index) const { return *m_order[index]; }
  [[nodiscard]] const std::vector<const Summary*>& in_order() const { return m_order; }

 private:
  /// What one thread has read.
  struct Part {
    TextPool pool;
    std::vector<Summary> summaries;
    std::vector<const Summary*> order;
  };
  std::vector<Part> m_parts;
  std::vector<const Summary*> m_order;
};

}  // namespace kortex::host
