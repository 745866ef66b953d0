/// Apple's `container` program, asked one thing at a time. Each call has a time limit of its own: hangs of every one of
/// its commands have been reported. It runs and is heard through the host, whose --record keeps what was said.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <kortex/call.hpp>

#include "container_view.hpp"
#include "version.hpp"

namespace kortex::apple {

class Tool {
 public:
  /// A tool was named, or this is one of the machines that Apple has made it for.
  [[nodiscard]] static bool may_be_here(const std::string& program);
  /// `program`: an absolute path; empty: `container` in PATH, on the machines that Apple has made it for. Throws
  /// UNAVAILABLE elsewhere.
  Tool(const Call& call, const std::string& program);

  [[nodiscard]] const Call& call() const { return m_call; }
  [[nodiscard]] const std::string& program() const { return m_program; }

  /// Asked once. Throws UNAVAILABLE, UNSUPPORTED where it is too old.
  [[nodiscard]] const Version& version();
  /// Its services run. Throws UNAVAILABLE with the command that starts them.
  void need_services();
  /// Their version, where they tell it.
  [[nodiscard]] std::string services_version();

  /// nullopt: there is none.
  [[nodiscard]] std::optional<ContainerView> inspect(const std::string& name);
  [[nodiscard]] std::vector<ContainerView> list();
  /// False also where it cannot be told.
  [[nodiscard]] bool has_image(const std::string& name);
  /// `arguments`: all that follows `create`.
  void create(const std::string& what, const std::vector<std::string>& arguments, std::chrono::milliseconds limit);
  void start(const std::string& what, const std::string& name);
  void stop(const std::string& what, const std::string& name, std::chrono::milliseconds grace);
  /// One that is not there is fine.
  void remove(const std::string& what, const std::string& name);
  /// The last lines of what its main process wrote; empty where that cannot be had.
  [[nodiscard]] std::string logs(const std::string& name);

 private:
  struct Said {
    int status = 0;
    std::string out, err;
  };
  /// Any exit status is an answer.
  [[nodiscard]] Said ask(const std::string& what, std::vector<std::string> arguments, std::chrono::milliseconds limit);
  /// Any but 0 is a failure.
  std::string run(const std::string& what, std::vector<std::string> arguments, std::chrono::milliseconds limit);
  [[noreturn]] void refuse(const std::string& what, const Said& said);
  [[nodiscard]] Said status();

  const Call m_call;
  std::string m_program;
  std::optional<Version> m_version;
};

/// What the tool wrote to stderr says that its services cannot be reached.
[[nodiscard]] bool tells_of_no_services(const std::string& complaint);
[[nodiscard]] Error no_services(const std::string& what, const std::string& complaint);

}  // namespace kortex::apple
