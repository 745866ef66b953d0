/// A directory of a test's own. Removed when the test passed; kept, and its path printed, when it failed.
#pragma once

#include <stdlib.h>

#include <boost/test/unit_test.hpp>
#include <boost/test/results_collector.hpp>
#include <filesystem>
#include <iostream>
#include <string>

namespace kortex::test {

class Sandbox {
 public:
  Sandbox() {
    std::string pattern = (std::filesystem::temp_directory_path() / "kortex-test-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp " + pattern);
    m_path = pattern;
  }
  Sandbox(const Sandbox&) = delete;
  Sandbox& operator=(const Sandbox&) = delete;
  ~Sandbox() {
    namespace ut = boost::unit_test;
    const auto& unit = ut::framework::current_test_unit();
    if (!ut::results_collector.results(unit.p_id).passed()) {
      std::cerr << "sandbox kept: " << m_path.string() << '\n';
      return;
    }
    std::error_code ignored;
    std::filesystem::remove_all(m_path, ignored);
  }
  [[nodiscard]] const std::filesystem::path& path() const { return m_path; }
  [[nodiscard]] std::filesystem::path operator/(const std::string& name) const { return m_path / name; }

 private:
  std::filesystem::path m_path;
};

}  // namespace kortex::test
