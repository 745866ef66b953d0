#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <system_error>

#include "recording.hpp"
#include "report.hpp"
#include "survey.hpp"

namespace kortex::check {
namespace {

namespace fs = std::filesystem;

/// A directory for the whole run; short, because sockets may be made in it.
class Place {
 public:
  explicit Place(bool keep) : m_keep(keep) {
    std::error_code error;
    std::string pattern = (fs::temp_directory_path(error) / "kortex-check-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("cannot make a directory in TMPDIR");
    // An agent that is another user must reach the sources in it.
    fs::permissions(pattern, static_cast<fs::perms>(0755));
    m_path = fs::canonical(pattern);
  }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  ~Place() {
    std::error_code ignored;
    if (!m_keep) fs::remove_all(m_path, ignored);
  }
  [[nodiscard]] const fs::path& path() const { return m_path; }

 private:
  bool m_keep;
  fs::path m_path;
};

bool matches(const std::string& name, const std::string& wanted) {
  return name.rfind(wanted, 0) == 0 || name.find('.' + wanted) != std::string::npos;
}

std::vector<const Test*> chosen_tests(const Arguments& arguments) {
  const auto any = [](const std::vector<std::string>& wanted, const std::string& name) {
    return std::any_of(wanted.begin(), wanted.end(), [&](const std::string& one) { return matches(name, one); });
  };
  std::vector<const Test*> chosen;
  for (const Test* test : all_tests()) {
    const std::string name = test->full_name();
    if (!arguments.only.empty() && !any(arguments.only, name)) continue;
    if (any(arguments.skip, name)) continue;
    chosen.push_back(test);
  }
  return chosen;
}

int run(int argc, char** argv) {
  int status = 0;
  const std::optional<Arguments> arguments = parse_arguments(argc, argv, status);
  if (!arguments) return status;
  const std::vector<const Test*> tests = chosen_tests(*arguments);
  if (arguments->list) {
    for (const Test* test : tests) std::cout << test->full_name() << "\t" << test->rule << '\n';
    return 0;
  }
  if (tests.empty()) {
    std::cerr << "kortex-runtime-check: error: no test has such a name\nhint: kortex-runtime-check --list\n";
    return 2;
  }
  if (::access(arguments->plugin.c_str(), R_OK) != 0) {
    std::cerr << "kortex-runtime-check: error: cannot read '" << arguments->plugin << "'\n";
    return 2;
  }
  if (!arguments->record.empty()) begin_recording(arguments->record, fs::path(arguments->plugin).filename().string());
  const Place place(arguments->keep);
  const Survey survey = take_survey(*arguments, place.path() / "plugin", place.path() / "survey");
  Report report(*arguments, survey, tests.size());
  Runner(*arguments, survey, place.path()).run(tests, [&](const Result& result) { report.add(result); });
  status = report.close();
  if (arguments->keep) std::cout << "# kept: " << place.path().string() << '\n';
  return status;
}

}  // namespace
}  // namespace kortex::check

int main(int argc, char** argv) {
  try {
    return kortex::check::run(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "kortex-runtime-check: error: " << error.what() << '\n';
    return 1;
  }
}
