/// What a test works on: the plugin, a place of its own, and instances.
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "operation.hpp"
#include "test.hpp"

namespace kortex::check {

/// What was found out of the plugin before the tests: which of them can be run.
struct Survey {
  bool loads = false;
  std::string name, version;
  std::uint64_t capabilities = 0;
  std::uint32_t offered = 0;           ///< need_exec, need_terminal, ...
  bool usable = false;                 ///< probe() said so
  std::string reason;                  ///< why not
  std::string backend;
  std::int32_t isolation = 0;
  std::uint64_t enforces = 0;          ///< with network allow or deny
};

/// What a test asks of an instance.
struct Wish {
  std::vector<std::string> agent = {};      ///< empty: the usual agent
  std::vector<std::string> agent_words = {};  ///< "stubborn", "status=7", "echo" of the usual agent
  KeyValues env = {};                       ///< of the configuration
  std::vector<std::string> start_env = {};  ///< "K=V"
  std::string name = "check";
  bool long_state_dir = false;
  bool newer_host = false;
  kortex_network_mode network = KORTEX_NETWORK_ALLOW;
  std::vector<std::string> allowed_hosts = {};
  struct Mount {
    std::string host = {}, target = {};
    std::uint32_t flags = 0;
  };
  std::vector<Mount> mounts = {};
  std::vector<std::uint16_t> ports = {};
  std::int64_t memory = 0, processes = 0, cpus_milli = 0;
  std::string image = {}, build_context = {};
};

class Instance;

class Bench {
 public:
  Bench(const Arguments& arguments, const Survey& survey, std::filesystem::path shared, std::filesystem::path own, std::string key_prefix);
  Bench(const Bench&) = delete;
  Bench& operator=(const Bench&) = delete;

  [[nodiscard]] const Arguments& arguments() const { return m_arguments; }
  [[nodiscard]] const Survey& survey() const { return m_survey; }
  [[nodiscard]] const HostPlaces& places() const { return m_places; }
  /// A directory of the test's own.
  [[nodiscard]] const std::filesystem::path& own() const { return m_own; }

  /// One operation, to its end.
  [[nodiscard]] Outcome perform(const OperationSettings&, const Body&) const;
  [[nodiscard]] Instance& instance(const Wish& = {});
  /// Makes it a running one.
  [[nodiscard]] Instance& running(const Wish& = {});

 private:
  const Arguments& m_arguments;
  const Survey& m_survey;
  HostPlaces m_places;
  std::filesystem::path m_own;
  std::string m_key_prefix;
  std::vector<std::unique_ptr<Instance>> m_instances;
};

/// Removes whatever instances a test has left: `own` is the test's directory. False: something could not be removed.
bool remove_left_instances(const Arguments&, const Survey&, const std::filesystem::path& shared, const std::filesystem::path& own);

/// The operation was fine: it returned OK, and for those that emit one instance, this one.
void expect_ok(const Outcome&);

}  // namespace kortex::check
