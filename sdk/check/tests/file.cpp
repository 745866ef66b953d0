// What the file says without being loaded: what a host decides on before any of its code runs.
#include <algorithm>
#include <cctype>
#include <filesystem>

#include "bench.hpp"
#include "elf_file.hpp"
#include "json_reader.hpp"
#include "tests/tests.hpp"

namespace kortex::check {
namespace {

ElfFile file_of(const Bench& bench) { return ElfFile::read(bench.arguments().plugin); }

const ElfFile::Note& note_of(const ElfFile& file) {
  expect(!file.notes.empty(), "it has no plugin note in a segment: KORTEX_RUNTIME_NOTE is missing");
  return file.notes.front();
}

std::string member(const Json& json, const std::string& name) {
  const Json* found = json.find(name);
  expect(found != nullptr && found->kind == Json::Kind::string && !found->text.empty(), "the note's \"" + name + "\" is missing or no text");
  return found->text;
}

bool is_name(const std::string& name) {
  return !name.empty() && name.size() <= 32 && std::islower(static_cast<unsigned char>(name[0])) != 0 &&
         std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

/// MAJOR.MINOR.PATCH and what may follow.
bool is_semantic_version(const std::string& text) {
  std::size_t at = 0;
  for (int part = 0; part < 3; ++part) {
    const std::size_t begin = at;
    while (at < text.size() && std::isdigit(static_cast<unsigned char>(text[at])) != 0) ++at;
    if (at == begin) return false;
    if (part < 2 && (at >= text.size() || text[at++] != '.')) return false;
  }
  return at == text.size() || text[at] == '-' || text[at] == '+';
}

Json note_json(const ElfFile& file) {
  const std::optional<Json> json = parse_json(note_of(file).json);
  expect(json && json->kind == Json::Kind::object, "the note holds no JSON object: " + in_quotes(note_of(file).json));
  return *json;
}

void has_a_note(Bench& bench) {
  const ElfFile file = file_of(bench);
  const Json json = note_json(file);
  expect(is_name(member(json, "name")), "the note's name " + in_quotes(member(json, "name")) + " is not a lower-case letter and up to 31 of a-z, 0-9, -");
  expect(is_semantic_version(member(json, "version")), "the note's version " + in_quotes(member(json, "version")) + " is not a semantic version");
  (void)member(json, "summary");
  expect(std::count_if(file.notes.begin(), file.notes.end(), [&](const auto& note) { return note.abi_major == note_of(file).abi_major; }) == 1,
         "it has several notes for one major version");
}

void has_the_notes_file_name(Bench& bench) {
  const std::string name = member(note_json(file_of(bench)), "name");
  expect_equal("the file's name", std::filesystem::path(bench.arguments().plugin).filename().string(), "libkortex-runtime-" + name + ".so");
}

void wants_an_abi_that_exists(Bench& bench) {
  const ElfFile file = file_of(bench);
  const ElfFile::Note& note = note_of(file);
  expect_equal("the major version of its ABI", note.abi_major, KORTEX_ABI_MAJOR);
  expect(note.min_host_minor <= note.abi_minor, "it wants a host of minor " + std::to_string(note.min_host_minor) +
                                                    ", newer than the header it is compiled with (" + std::to_string(note.abi_minor) + ")");
  expect(note.min_host_minor <= KORTEX_ABI_MINOR,
         "it wants a host of minor " + std::to_string(note.min_host_minor) + ": this checker knows 1." + std::to_string(KORTEX_ABI_MINOR) + ", update it");
}

void exports_its_entry_and_nothing_else(Bench& bench) {
  std::string others;
  bool entry = false;
  for (const std::string& symbol : file_of(bench).exported) {
    entry = entry || symbol == KORTEX_RUNTIME_ENTRY_NAME;
    if (symbol.rfind("kortex_runtime_plugin_v", 0) != 0) others += (others.empty() ? "" : ", ") + symbol;
  }
  expect(entry, "it does not export " KORTEX_RUNTIME_ENTRY_NAME);
  expect(others.empty(), "it exports " + others.substr(0, 300) + ": link with the SDK's version script");
}

void is_hardened(Bench& bench) {
  const ElfFile file = file_of(bench);
  expect(!file.executable_stack, "it asks for an executable stack: link with -z noexecstack");
  expect(!file.writable_code, "it has a segment that can be written and executed");
  expect(!file.text_relocations, "it has text relocations: compile with -fPIC");
  expect(file.relro, "its relocations stay writable: link with -z relro");
  expect(file.bind_now, "it binds lazily, so that missing symbols crash later: link with -z now");
}

void finds_its_libraries_as_others_do(Bench& bench) {
  const ElfFile file = file_of(bench);
  for (const std::string& library : file.needed)
    expect(library.find('/') == std::string::npos, "it needs the library " + in_quotes(library) + " by its path on the machine that built it");
  for (std::size_t at = 0; at < file.search_path.size();) {
    const std::size_t end = std::min(file.search_path.find(':', at), file.search_path.size());
    const std::string entry = file.search_path.substr(at, end - at);
    expect(entry.rfind("$ORIGIN", 0) == 0 || entry.rfind("${ORIGIN}", 0) == 0, "it looks for libraries in " + in_quotes(entry) + ": only below $ORIGIN");
    at = end + 1;
  }
}

constexpr Test table[] = {
    {.part = "core", .name = "has-a-note", .rule = "the ELF note: name, semantic version and summary", .run = has_a_note},
    {.part = "core", .name = "has-the-notes-file-name", .rule = "the file is libkortex-runtime-<name>.so", .run = has_the_notes_file_name},
    {.part = "core", .name = "wants-an-abi-that-exists", .rule = "R1 versions", .run = wants_an_abi_that_exists},
    {.part = "core", .name = "exports-its-entry-and-nothing-else", .rule = "one exported function", .run = exports_its_entry_and_nothing_else},
    {.part = "core", .name = "is-hardened", .rule = "relro, bind now, no executable stack, no text relocations", .run = is_hardened},
    {.part = "core", .name = "finds-its-libraries-as-others-do", .rule = "no path of the machine that built it", .run = finds_its_libraries_as_others_do},
};

}  // namespace

const std::span<const Test> file_tests = table;

}  // namespace kortex::check
