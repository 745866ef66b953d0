/// One command being run: what was typed, and what it may use. The store, the registry and the manager are
/// made when asked for, so that a command pays only for what it needs.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/environment.hpp"
#include "cli/output/stream.hpp"
#include "cli/parse.hpp"
#include "cli/reporter.hpp"
#include "config/agents.hpp"
#include "instances/manager.hpp"
#include "instances/store.hpp"
#include "runtimes/registry.hpp"

namespace kortex::host {

class Invocation {
 public:
  Invocation(const Environment& environment, const Request& request, Stream& out, Reporter& reporter)
      : m_environment(environment), m_request(request), m_out(out), m_reporter(reporter) {}

  [[nodiscard]] bool has(std::string_view option) const { return m_request.options.find(option) != m_request.options.end(); }
  [[nodiscard]] std::optional<std::string> option(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> options(std::string_view name) const;
  [[nodiscard]] const std::vector<std::string>& arguments() const { return m_request.arguments; }
  [[nodiscard]] const std::string& argument(std::size_t index) const { return m_request.arguments.at(index); }
  [[nodiscard]] const std::optional<std::vector<std::string>>& program() const { return m_request.program; }

  [[nodiscard]] bool json() const;
  [[nodiscard]] bool verbose() const { return has("verbose"); }
  [[nodiscard]] bool colours() const;
  /// --timeout; zero: not given.
  [[nodiscard]] std::chrono::milliseconds timeout() const;

  [[nodiscard]] const Environment& environment() const { return m_environment; }
  [[nodiscard]] Stream& out() { return m_out; }
  [[nodiscard]] Reporter& reporter() { return m_reporter; }

  [[nodiscard]] Store store() const;
  [[nodiscard]] Registry registry() const;
  /// `sources` is what $SOURCES stands for in agents; empty: it stays as it is.
  [[nodiscard]] AgentCatalog agents(const std::string& sources = {}) const;
  /// Of `init` with its sources, of the other commands without.
  [[nodiscard]] Manager manager(const std::string& sources = {});
  [[nodiscard]] RuntimeContext runtime_context(const std::string& runtime);

 private:
  const Environment& m_environment;
  const Request& m_request;
  Stream& m_out;
  Reporter& m_reporter;
};

}  // namespace kortex::host
