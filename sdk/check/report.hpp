/// TAP as it goes, JUnit and the closing line at the end.
#pragma once

#include <string>
#include <vector>

#include "runner.hpp"

namespace kortex::check {

class Report {
 public:
  Report(const Arguments&, const Survey&, std::size_t tests);
  void add(const Result&);
  /// The closing line, and JUnit where it is wanted. The program's exit status.
  [[nodiscard]] int close();

 private:
  [[nodiscard]] std::string closing_line() const;
  void write_junit() const;

  const Arguments& m_arguments;
  const Survey& m_survey;
  std::vector<Result> m_results;
};

}  // namespace kortex::check
