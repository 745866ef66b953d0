/// A command as data. Names, help, completion, and the checks of options all come from here; a command's file
/// adds the function. Everything is constant-initialized: a table of any size costs nothing at start.
#pragma once

#include <span>
#include <string_view>

namespace kortex::host {

class Invocation;

/// What a value is, for completion and for help.
enum class Kind { text, workspace, runtime, runtime_option, agent, command, file, directory, choice };

struct OptionSpec {
  std::string_view name{};          ///< long, without dashes
  char letter = 0;
  std::string_view value{};         ///< what help calls its value; empty: a flag
  std::string_view help{};
  Kind kind = Kind::text;
  bool repeatable = false;
  std::span<const std::string_view> choices{};
  std::string_view fallback{};      ///< the default, as help says it
  std::string_view variable{};      ///< the environment variable that it beats
};

struct ArgumentSpec {
  std::string_view name{};
  std::string_view help{};
  Kind kind = Kind::text;
  bool required = true;
  bool repeatable = false;          ///< the last one only
  std::span<const std::string_view> choices{};
};

struct Example {
  std::string_view line{};
  std::string_view meaning{};
};

/// Whether arguments after `--` are taken as a program to run.
enum class Program { none, optional, required };

struct Command {
  std::string_view noun{};          ///< "workspace", "runtime", "agent"; empty: a command of its own
  std::string_view verb{};
  std::string_view alias{};
  std::string_view summary{};       ///< one line, lower case, no final dot
  std::string_view description{};   ///< paragraphs separated by an empty line
  std::span<const ArgumentSpec> arguments{};
  std::span<const OptionSpec> options{};
  std::span<const Example> examples{};
  Program program = Program::none;
  bool json = true;                 ///< has an answer for --output json
  bool passes_status = false;       ///< exits as the program in the instance did, 125 when we failed
  bool hidden = false;
  int (*run)(Invocation&) = nullptr;
};

}  // namespace kortex::host
