/// Which runtimes exist: the search path, and what lies on it, read without running plugin code.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "runtimes/pins.hpp"

namespace kortex::host {

/// What a plugin's ELF note says.
/// What can be completed of a --runtime-option without running the plugin.
struct NotedOption {
  std::string name;
  std::vector<std::string> values;  ///< empty: any
};

struct Descriptor {
  std::string name;
  std::string version;
  std::string summary;
  std::uint16_t abi_major = 0;
  std::uint16_t abi_minor = 0;
  std::uint16_t min_host_minor = 0;
  bool local = true;  ///< instances are on this machine
  bool test = false;  ///< it only pretends: proposed only where there is nothing else
  std::vector<NotedOption> options;
};

/// A file on the search path named libkortex-runtime-<name>.so. Refused ones are entries too.
struct PluginFile {
  std::filesystem::path path;  ///< as found; may be a symbolic link
  std::string name;            ///< from the file's name
  std::string origin;          ///< which part of the search path: "--runtime-path", "user", "bundled", "system", ...
  std::optional<Descriptor> descriptor;  ///< absent when the note could not be read
  std::string refusal;         ///< why the host will not load it; empty: it will
  std::string hint;            ///< how to mend that; may be empty
  bool shadowed = false;       ///< a usable file of the same name comes earlier

  [[nodiscard]] bool loadable() const { return refusal.empty(); }
};

struct SearchDirectory {
  std::filesystem::path path;
  std::string origin;
};

/// In order: each --runtime-path, each entry of KORTEX_CLI_RUNTIME_PATH, the user's directory
/// (~/.local/lib/kortex/runtimes), the directory relative to the binary (../lib/kortex/runtimes and
/// ../lib/<triplet>/kortex/runtimes), /usr/local/lib/kortex/runtimes, /usr/lib/<triplet>/kortex/runtimes and
/// /usr/lib/kortex/runtimes; the same directory twice counts once. Throws Error(usage) for a relative or
/// empty entry. `env` is a lookup so that tests need not change the environment.
struct SearchPathInputs {
  std::vector<std::string> flags;       ///< --runtime-path
  std::optional<std::string> variable;  ///< KORTEX_CLI_RUNTIME_PATH, colon separated
  std::filesystem::path home;           ///< may be empty: then no user directory
  std::filesystem::path binary;         ///< the running executable, resolved
};
[[nodiscard]] std::vector<SearchDirectory> search_path(const SearchPathInputs&);

class Registry {
 public:
  explicit Registry(std::vector<SearchDirectory> path, Pins pins = {}) : m_path(std::move(path)), m_pins(std::move(pins)) {}

  /// The runtime of that name: opens just files of that name. The first loadable one wins.
  /// Throws Error(no_runtime): not found (the message names close matches, the hint what to type; the
  /// installed names are listed), or every candidate is refused (each with its reason).
  [[nodiscard]] PluginFile find(const std::string& name) const;

  /// Everything on the path, in name order, refused and shadowed ones included. Never throws for a file.
  [[nodiscard]] std::vector<PluginFile> scan() const;

  [[nodiscard]] const std::vector<SearchDirectory>& path() const { return m_path; }
  [[nodiscard]] const Pins& pins() const { return m_pins; }

 private:
  /// examine(), and whether the pins let it pass.
  [[nodiscard]] PluginFile look_at(const std::filesystem::path& file, const std::string& origin) const;

  std::vector<SearchDirectory> m_path;
  Pins m_pins;
};

/// Checks one file as find() and scan() do. `origin` is copied into the result.
[[nodiscard]] PluginFile examine(const std::filesystem::path& file, const std::string& origin);

}  // namespace kortex::host
