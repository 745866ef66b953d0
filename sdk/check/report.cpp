#include "report.hpp"

#include <algorithm>
#include <fstream>
#include <iostream>
#include <map>

namespace kortex::check {
namespace {

using Kind = Result::Kind;

std::string one_line(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  std::replace(text.begin(), text.end(), '#', '.');
  return text;
}

std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (static_cast<unsigned char>(c) >= 0x20 || c == '\n' || c == '\t')
      out += c;
  }
  return out;
}

std::string seconds(std::int64_t ms) {
  const std::string rest = std::to_string(ms % 1000);
  return std::to_string(ms / 1000) + '.' + std::string(3 - rest.size(), '0') + rest;
}

struct Count {
  int passed = 0, failed = 0, skipped = 0;
  std::string reason;  ///< of a skip
  bool claimed = false;  ///< a skip had another reason than that nothing is claimed
};

/// "exec", and "exec (failed)" where something is wrong with it.
void name_part(std::string& list, const std::string& name, const Count& count) {
  if (!list.empty()) list += ", ";
  list += name;
  if (count.failed > 0) list += " (failed)";
}

}  // namespace

Report::Report(const Arguments& arguments, const Survey& survey, std::size_t tests) : m_arguments(arguments), m_survey(survey) {
  std::cout << "TAP version 13\n1.." << tests << '\n';
  if (survey.loads)
    std::cout << "# " << survey.name << ' ' << survey.version << (survey.backend.empty() ? "" : " on " + survey.backend) << '\n';
  std::cout.flush();
}

void Report::add(const Result& result) {
  m_results.push_back(result);
  const char* ok = result.kind == Kind::failed ? "not ok " : "ok ";
  std::cout << ok << m_results.size() << " - " << result.test->full_name();
  if (result.kind == Kind::skipped) std::cout << " # SKIP " << one_line(result.why);
  std::cout << '\n';
  if (result.kind == Kind::failed) {
    std::cout << "  ---\n  rule: \"" << result.test->rule << "\"\n  message: \"";
    for (const char c : one_line(result.why)) {
      if (c == '"' || c == '\\') std::cout << '\\';
      std::cout << c;
    }
    std::cout << "\"\n  duration_ms: " << result.elapsed_ms << "\n  ...\n";
  }
  std::cout.flush();
}

std::string Report::closing_line() const {
  std::map<std::string, Count> parts;
  std::vector<std::string> order;
  for (const Result& result : m_results) {
    const std::string part(result.test->part);
    if (parts.count(part) == 0) order.push_back(part);
    Count& count = parts[part];
    if (result.kind == Kind::passed) ++count.passed;
    if (result.kind == Kind::failed) ++count.failed;
    if (result.kind == Kind::skipped) {
      ++count.skipped;
      count.reason = result.why;
      count.claimed = count.claimed || result.why.rfind("not ", 0) != 0;
    }
  }
  static const std::vector<std::string> operations{"exec", "terminal", "logs", "wait", "list"};
  std::string optional, guarantees, missing, untried;
  for (const std::string& part : order) {
    if (part == "core") continue;
    const Count& count = parts[part];
    const bool is_operation = std::find(operations.begin(), operations.end(), part) != operations.end();
    if (count.passed + count.failed > 0)
      name_part(is_operation ? optional : guarantees, part, count);
    else if (is_operation && count.reason.rfind("not offered", 0) == 0)
      name_part(missing, part, count);
    else if (!is_operation && m_survey.usable && count.claimed)
      name_part(untried, part, count);
  }
  const Count& core = parts["core"];
  const int tried = core.passed + core.failed;
  std::string line = "core " + std::to_string(core.passed) + '/' + std::to_string(tried);
  if (core.skipped > 0) line += " (" + std::to_string(core.skipped) + " skipped)";
  if (!optional.empty()) line += "; optional: " + optional;
  if (!guarantees.empty()) line += "; guarantees: " + guarantees;
  if (!missing.empty()) line += "; not offered: " + missing;
  if (!untried.empty()) line += "; claimed, and not tried: " + untried;
  if (m_arguments.pretends) line += "; runs no agent";
  if (m_survey.loads && !m_survey.usable) line += "; the backend is not usable";
  return line;
}

void Report::write_junit() const {
  std::ofstream out(m_arguments.junit);
  std::size_t failed = 0, skipped = 0;
  std::int64_t total = 0;
  for (const Result& result : m_results) {
    failed += result.kind == Kind::failed ? 1 : 0;
    skipped += result.kind == Kind::skipped ? 1 : 0;
    total += result.elapsed_ms;
  }
  out << "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"kortex-runtime-check " << escaped(m_survey.name) << "\" tests=\""
      << m_results.size() << "\" failures=\"" << failed << "\" skipped=\"" << skipped << "\" time=\"" << seconds(total) << "\">\n";
  for (const Result& result : m_results) {
    out << "  <testcase classname=\"" << escaped(m_survey.name) << '.' << result.test->part << "\" name=\"" << result.test->name << "\" time=\""
        << seconds(result.elapsed_ms) << "\"";
    if (result.kind == Kind::failed)
      out << "><failure message=\"" << escaped(std::string(result.test->rule)) << "\">" << escaped(result.why) << "</failure></testcase>\n";
    else if (result.kind == Kind::skipped)
      out << "><skipped message=\"" << escaped(result.why) << "\"/></testcase>\n";
    else
      out << "/>\n";
  }
  out << "</testsuite>\n";
  out.close();
  if (!out) std::cerr << "kortex-runtime-check: error: cannot write '" << m_arguments.junit << "'\n";
}

int Report::close() {
  std::cout << "# " << closing_line() << '\n';
  std::cout.flush();
  if (!m_arguments.junit.empty()) write_junit();
  for (const Result& result : m_results)
    if (result.kind == Kind::failed) return 1;
  return m_survey.loads && !m_survey.usable ? 77 : 0;
}

}  // namespace kortex::check
