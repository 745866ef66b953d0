#include "runtimes/loader.hpp"

#include <dlfcn.h>

#include <boost/dll/shared_library.hpp>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "runtimes/text.hpp"
#include "system/error.hpp"

namespace kortex::host {
namespace {

constexpr std::size_t max_text = 1024;
constexpr std::size_t required_size = offsetof(kortex_plugin, list);

[[noreturn]] void refuse(const PluginFile& file, const std::string& reason, const std::string& hint = {}) {
  throw Error(ErrorKind::no_runtime,
              "cannot load runtime '" + file.name + "' from '" + file.path.string() + "': " + reason, hint);
}

/// dlerror's own words, without Boost's frame around them and without the path, which we say ourselves.
std::string dlerror_of(const std::string& what, const std::string& path) {
  constexpr std::string_view opening = "(dlerror system message: ";
  std::string_view text = what;
  if (const std::size_t start = text.find(opening); start != std::string_view::npos) {
    text.remove_prefix(start + opening.size());
    if (const std::size_t end = text.rfind("): "); end != std::string_view::npos) text = text.substr(0, end);
  }
  const std::string prefix = path + ": ";
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  return clean_line(text, max_text);
}

void check_table(const PluginFile& file, const kortex_plugin* table) {
  const std::string bug = " (bug in the runtime)";
  if (table == nullptr) refuse(file, "its entry point returned no table" + bug);
  if (table->abi_major != KORTEX_ABI_MAJOR)
    refuse(file, "its table is of ABI major " + std::to_string(table->abi_major) + ", its plugin note says " +
                     std::to_string(file.descriptor->abi_major) + bug);
  if (table->struct_size < required_size)
    refuse(file, "its table is too short: " + std::to_string(table->struct_size) + " bytes, at least " +
                     std::to_string(required_size) + " are required" + bug);
  const auto same = [](const char* given, const std::string& noted) { return given != nullptr && noted == given; };
  const auto quoted = [](const char* given) {
    return given == nullptr ? std::string("nothing") : "'" + clean_line(given, max_text) + "'";
  };
  if (!same(table->name, file.descriptor->name))
    refuse(file, "its table is named " + quoted(table->name) + ", its plugin note '" + file.descriptor->name + "'" + bug);
  if (!same(table->version, file.descriptor->version))
    refuse(file, "its table is version " + quoted(table->version) + ", its plugin note '" + file.descriptor->version + "'" + bug);
  const auto require = [&](bool present, const char* name) {
    if (!present) refuse(file, std::string("it lacks the required function '") + name + "'" + bug);
  };
  require(table->open != nullptr, "open");
  require(table->close != nullptr, "close");
  require(table->probe != nullptr, "probe");
  require(table->guarantees != nullptr, "guarantees");
  require(table->create != nullptr, "create");
  require(table->start != nullptr, "start");
  require(table->stop != nullptr, "stop");
  require(table->remove != nullptr, "remove");
  require(table->inspect != nullptr, "inspect");
}

}  // namespace

const kortex_plugin& load_plugin(const PluginFile& file) {
  // Leaked on purpose: unloading a plugin whose library registered anything crashes later.
  static auto* const libraries = new std::vector<boost::dll::shared_library>;
  boost::dll::shared_library library;
  try {
    library.load(file.path, static_cast<boost::dll::load_mode::type>(RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE));
  } catch (const std::exception& error) {
    const std::string reason = dlerror_of(error.what(), file.path.string());
    const bool newer_system = reason.find("version `GLIBC_") != std::string::npos ||
                              reason.find("version `GLIBCXX_") != std::string::npos;
    refuse(file, reason, newer_system ? "it is built for a newer system: install the package made for this one" : "");
  }
  libraries->push_back(library);
  // has() first: Boost's error for an absent symbol carries a stale errno.
  if (!library.has(KORTEX_RUNTIME_ENTRY_NAME))
    refuse(file, "it does not export '" KORTEX_RUNTIME_ENTRY_NAME "' (bug in the runtime)");
  const auto& entry = library.get<const kortex_plugin*(std::uint32_t)>(KORTEX_RUNTIME_ENTRY_NAME);
  const kortex_plugin* table = entry(KORTEX_ABI_MINOR);
  check_table(file, table);
  return *table;
}

}  // namespace kortex::host
