/// Runs tests, each in a process of its own that is ended with all it started when it takes too long.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "bench.hpp"

namespace kortex::check {

struct Result {
  enum class Kind { passed, failed, skipped };
  const Test* test = nullptr;
  Kind kind = Kind::failed;
  std::string why;           ///< of a failure or a skip
  std::int64_t elapsed_ms = 0;
  bool no_agent = false;     ///< it waited for the agent, which never began
};

class Runner {
 public:
  Runner(const Arguments&, const Survey&, std::filesystem::path place);
  /// `report` is called in the order of the tests.
  void run(const std::vector<const Test*>& tests, const std::function<void(const Result&)>& report);

 private:
  struct Process;
  Process start(const Test& test, std::size_t number) const;
  Result finish(Process&) const;
  void learn(const Result&);
  void clean_up(const Process&, Result&) const;
  [[nodiscard]] std::filesystem::path own(std::size_t number) const { return m_place / ("t" + std::to_string(number)); }

  const Arguments& m_arguments;
  const Survey& m_survey;
  std::filesystem::path m_place;
  bool m_agent_seen = false;
  std::string m_agentless;   ///< the test that waited in vain for an agent that no other has seen
};

/// Forks, runs `body`, and waits for as long as `limit`; false: it was killed, or ended otherwise than well.
[[nodiscard]] bool in_a_process(std::chrono::milliseconds limit, const std::function<void()>& body);

}  // namespace kortex::check
