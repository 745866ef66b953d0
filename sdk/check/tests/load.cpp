// Loading the file, its table, and open() with close().
#include <dlfcn.h>
#include <unistd.h>

#include <cctype>
#include <charconv>
#include <cstring>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "bench.hpp"
#include "elf_file.hpp"
#include "json_reader.hpp"
#include "programs.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

/// A look at the table in a process of its own: what `look` complains of fails the test.
void expect_of_table(Bench& bench, const std::function<void(const kortex_plugin&, Recorder&)>& look) {
  const Outcome outcome = with_table(bench.places(), "table", [&](const kortex_plugin& plugin, Recorder& recorder) {
    look(plugin, recorder);
    return KORTEX_OK;
  });
  if (!outcome.complaints.empty()) fail(outcome.complaints.front());
  expect_ok(outcome);
}

void loads(Bench& bench) {
  const Outcome outcome = with_table(bench.places(), "load", [&](const kortex_plugin& plugin, Recorder& recorder) {
    if (load_table(bench.arguments().plugin, KORTEX_ABI_MINOR) != &plugin) recorder.complain("its entry returns another table the second time");
    return KORTEX_OK;
  });
  if (!outcome.complaints.empty()) fail(outcome.complaints.front());
  expect_ok(outcome);
}

/// What is compared with was taken before the load, which runs constructors.
void loading_leaves_the_process_alone(Bench& bench) {
  const Outcome outcome = bench.perform({.function = "load"}, [](Child&) { return KORTEX_OK; });
  expect(outcome.noise.empty(), "loading prints " + in_quotes(outcome.noise));
  if (!outcome.complaints.empty()) fail(outcome.complaints.front());
  expect_ok(outcome);
}

/// "options" of a note: names and what can be chosen.
using Choices = std::map<std::string, std::vector<std::string>>;

Choices values_of(const Json& options) {
  Choices out;
  for (const auto& [name, values] : options.members) {
    std::vector<std::string>& texts = out[name];
    for (const Json& value : values.items) texts.push_back(value.text);
  }
  return out;
}

/// What it should be. Where there is no choice the note may propose values.
Choices values_of(const kortex_plugin& plugin, const Json& noted) {
  Choices out;
  if (plugin.options == nullptr) return out;
  const Choices proposed = values_of(noted);
  for (const kortex_option* const* at = plugin.options; *at != nullptr; ++at) {
    std::vector<std::string>& values = out[(*at)->name];
    const auto mine = proposed.find((*at)->name);
    if ((*at)->type == KORTEX_OPT_ENUM && (*at)->choices != nullptr)
      for (const char* const* choice = (*at)->choices; *choice != nullptr; ++choice) values.emplace_back(*choice);
    else if (mine != proposed.end())
      values = mine->second;
  }
  return out;
}

void has_a_table_that_agrees_with_the_note(Bench& bench) {
  const ElfFile file = ElfFile::read(bench.arguments().plugin);
  if (file.notes.empty()) fail("there is no note to agree with");
  const std::optional<Json> note = parse_json(file.notes.front().json);
  const auto noted = [&](const char* name) {
    const Json* found = note ? note->find(name) : nullptr;
    return found == nullptr ? std::string() : found->text;
  };
  expect_of_table(bench, [&](const kortex_plugin& plugin, Recorder& recorder) {
    const auto complain_unless = [&](bool holds, const std::string& otherwise) {
      if (!holds) recorder.complain(otherwise);
    };
    const auto text = [](const char* given) { return std::string(given == nullptr ? "(NULL)" : given); };
    complain_unless(plugin.struct_size >= offsetof(kortex_plugin, list),
                    "the table's struct_size is " + std::to_string(plugin.struct_size) + ", too small for minor 0");
    complain_unless(plugin.abi_major == KORTEX_ABI_MAJOR, "the table's abi_major is " + std::to_string(plugin.abi_major));
    complain_unless(plugin.abi_major == file.notes.front().abi_major && plugin.abi_minor == file.notes.front().abi_minor,
                    "table and note are of different ABI versions");
    complain_unless(text(plugin.name) == noted("name"), "the table's name is '" + text(plugin.name) + "', the note's '" + noted("name") + "'");
    complain_unless(text(plugin.version) == noted("version"),
                    "the table's version is '" + text(plugin.version) + "', the note's '" + noted("version") + "'");
    complain_unless(text(plugin.summary) == noted("summary"), "the table's summary is not the note's");
    const Json* options = note ? note->find("options") : nullptr;
    if (options != nullptr) complain_unless(values_of(*options) == values_of(plugin, *options), "the note's options are not the table's, with their choices");
  });
}

void has_all_required_functions(Bench& bench) {
  expect_of_table(bench, [](const kortex_plugin& plugin, Recorder& recorder) {
    const std::pair<bool, const char*> required[] = {
        {plugin.open != nullptr, "open"},     {plugin.close != nullptr, "close"},   {plugin.probe != nullptr, "probe"},
        {plugin.guarantees != nullptr, "guarantees"}, {plugin.create != nullptr, "create"}, {plugin.start != nullptr, "start"},
        {plugin.stop != nullptr, "stop"},     {plugin.remove != nullptr, "remove"}, {plugin.inspect != nullptr, "inspect"}};
    for (const auto& [there, name] : required)
      if (!there) recorder.complain(std::string("the required function ") + name + " is NULL");
  });
}

bool is_option_name(const char* name) {
  if (name == nullptr || std::islower(static_cast<unsigned char>(*name)) == 0) return false;
  for (; *name != '\0'; ++name)
    if (std::islower(static_cast<unsigned char>(*name)) == 0 && std::isdigit(static_cast<unsigned char>(*name)) == 0 && *name != '-') return false;
  return true;
}

bool fits(const kortex_option& option, const std::string& value) {
  if (option.type == KORTEX_OPT_BOOL) return value == "true" || value == "false";
  if (option.type == KORTEX_OPT_ENUM) {
    for (const char* const* choice = option.choices; choice != nullptr && *choice != nullptr; ++choice)
      if (value == *choice) return true;
    return false;
  }
  if (option.type != KORTEX_OPT_INT) return true;
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  if (error != std::errc() || end != value.data() + value.size()) return false;
  return option.min_value >= option.max_value || (number >= option.min_value && number <= option.max_value);
}

void declares_options_that_can_be_given(Bench& bench) {
  expect_of_table(bench, [](const kortex_plugin& plugin, Recorder& recorder) {
    std::set<std::string> seen;
    for (const kortex_option* const* at = plugin.options; at != nullptr && *at != nullptr; ++at) {
      const kortex_option& option = **at;
      const std::string name = option.name == nullptr ? "(NULL)" : option.name;
      const auto complain_unless = [&](bool holds, const std::string& otherwise) {
        if (!holds) recorder.complain("option '" + name + "' " + otherwise);
      };
      complain_unless(option.struct_size >= sizeof(kortex_option), "has a struct_size that is too small");
      complain_unless(is_option_name(option.name), "has a name that is not [a-z][a-z0-9-]*");
      complain_unless(seen.insert(name).second, "is there twice");
      complain_unless(option.help != nullptr && *option.help != '\0' && std::strchr(option.help, '\n') == nullptr, "has no help of one line");
      complain_unless(option.type >= KORTEX_OPT_STRING && option.type <= KORTEX_OPT_PATH, "has a type that is none");
      complain_unless(option.type != KORTEX_OPT_ENUM || (option.choices != nullptr && option.choices[0] != nullptr), "is an ENUM without choices");
      complain_unless((option.flags & ~0x1fU) == 0, "has flags that are none");
      complain_unless(option.default_value == nullptr || fits(option, option.default_value), "has a default that it would refuse");
      complain_unless(option.default_value == nullptr || (option.flags & KORTEX_OPT_REQUIRED) == 0, "is required and has a default");
    }
  });
}

void opens_cheaply_and_often(Bench& bench) {
  const Outcome outcome = bench.perform({.function = "open"}, [](Child& child) {
    const kortex_host* host = child.call->host;
    auto* args = child.arena.make<kortex_open_args>();
    const KeyValues options = completed_options(child.plugin, child.places.options, true);
    args->options = child.arena.copy(options);
    args->option_count = static_cast<std::uint32_t>(options.size());
    return child.sealed([&] {
      const std::int64_t begun = monotonic_ms();
      for (int i = 0; i < 20; ++i) {
        kortex_runtime *first = nullptr, *second = nullptr;
        for (kortex_runtime** one : {&first, &second})
          if (const kortex_status status = child.plugin.open(child.call, args, host, one); status != KORTEX_OK) return status;
        child.plugin.close(first);
        child.plugin.close(second);
      }
      if (monotonic_ms() - begun > 2000) child.recorder.complain("forty times open() and close() take longer than two seconds");
      return static_cast<kortex_status>(KORTEX_OK);
    });
  });
  expect_ok(outcome);
  if (!outcome.complaints.empty()) fail(outcome.complaints.front());
  expect_equal("programs that open() starts", outcome.programs, 0);
}

void knows_hosts_of_its_oldest_minor(Bench& bench) {
  const ElfFile file = ElfFile::read(bench.arguments().plugin);
  if (file.notes.empty()) fail("there is no note");
  const std::uint32_t oldest = file.notes.front().min_host_minor;
  expect_of_table(bench, [&](const kortex_plugin&, Recorder& recorder) {
    void* library = ::dlopen(bench.arguments().plugin.c_str(), RTLD_NOW | RTLD_LOCAL);
    const auto entry = reinterpret_cast<kortex_runtime_entry>(::dlsym(library, KORTEX_RUNTIME_ENTRY_NAME));
    for (const std::uint32_t minor : {oldest, oldest + 1000})
      if (entry(minor) == nullptr) recorder.complain("its entry returns no table for a host of minor " + std::to_string(minor));
  });
}

constexpr Test table[] = {
    {.part = "core", .name = "loads", .rule = "every symbol is found; one table for good", .run = loads},
    {.part = "core", .name = "leaves-the-process-alone-when-loaded", .rule = "R8 the process is the host's", .run = loading_leaves_the_process_alone},
    {.part = "core", .name = "has-a-table-that-agrees-with-the-note", .rule = "kortex_plugin", .run = has_a_table_that_agrees_with_the_note},
    {.part = "core", .name = "has-all-required-functions", .rule = "kortex_plugin", .run = has_all_required_functions},
    {.part = "core", .name = "declares-options-that-can-be-given", .rule = "kortex_option", .run = declares_options_that_can_be_given},
    {.part = "core", .name = "knows-hosts-of-its-oldest-minor", .rule = "R1 versions", .run = knows_hosts_of_its_oldest_minor},
    {.part = "core", .name = "opens-cheaply-and-often", .rule = "open() starts no program and contacts no daemon", .run = opens_cheaply_and_often},
};

}  // namespace

const std::span<const Test> load_tests = table;

}  // namespace kortex::check
