#include "runtimes/macho_note.hpp"

#include <cstring>
#include <random>

#include "fixture.hpp"
#include "system/files.hpp"

using namespace kortex::host;
using namespace kortex::test;

namespace {

std::string little(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = 0; i < bytes; ++i) out += static_cast<char>(i < 8 ? value >> 8 * i & 0xff : 0);
  return out;
}
std::string big(std::uint64_t value, int bytes) {
  std::string out;
  for (int i = bytes; i-- > 0;) out += static_cast<char>(i < 8 ? value >> 8 * i & 0xff : 0);
  return out;
}
std::string padded(std::string text, std::size_t size) {
  text.resize(size);
  return text;
}

constexpr std::uint32_t arm64 = 0x0100000c, x86_64 = 0x01000007;

std::string note_section(const std::string& json) {
  const std::string description = little(1, 2) + little(0, 2) + little(0, 2) + little(0, 2) + json + '\0';
  return little(7, 4) + little(description.size(), 4) + little(0x4b580001, 4) + padded("kortex", 8) + description;
}

struct Made {
  std::uint32_t machine = arm64, type = 8, sections = 1;
  std::string section = "__kortex_note", segment = "__TEXT";
  std::uint64_t segment_size = 0;  ///< 0: as it is
  std::string note = note_section(R"({"name":"good","version":"1.2.3","summary":"by hand"})");
};

/// A bundle of one segment with one section.
std::string macho(const Made& made = {}) {
  const std::size_t commands = 72 + 80, data = 32 + commands;
  const std::uint64_t segment_size = made.segment_size == 0 ? data + made.note.size() : made.segment_size;
  std::string out = little(0xfeedfacf, 4) + little(made.machine, 4) + little(0, 4) + little(made.type, 4) + little(1, 4) + little(commands, 4) + little(0, 8);
  out += little(0x19, 4) + little(commands, 4) + padded(made.segment, 16) + little(0, 8) + little(0x4000, 8) + little(0, 8) + little(segment_size, 8) + little(5, 4) +
         little(5, 4) + little(made.sections, 4) + little(0, 4);
  out += padded(made.section, 16) + padded(made.segment, 16) + little(data, 8) + little(made.note.size(), 8) + little(data, 4) + little(2, 4) + little(0, 24);
  return out + made.note;
}

/// For several processors.
std::string fat(const std::vector<std::pair<std::uint32_t, std::string>>& parts) {
  std::string head = big(0xcafebabe, 4) + big(parts.size(), 4), body;
  const std::size_t start = 8 + 20 * parts.size();
  for (const auto& [machine, bytes] : parts) {
    head += big(machine, 4) + big(0, 4) + big(start + body.size(), 4) + big(bytes.size(), 4) + big(0, 4);
    body += bytes;
  }
  return head + body;
}

NoteResult read_bytes(const std::string& bytes, MachoMachine machine = MachoMachine::arm64, bool objects = false) {
  return read_macho_note(
      bytes.size(),
      [&](std::uint64_t offset, void* buffer, std::size_t size) {
        BOOST_TEST_REQUIRE((offset <= bytes.size() && size <= bytes.size() - offset), "reads outside of the file");
        std::memcpy(buffer, bytes.data() + offset, size);
        return true;
      },
      machine, objects);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(macho_note)

BOOST_AUTO_TEST_CASE(reads_the_note_of_a_bundle_and_of_a_library) {
  for (const std::uint32_t type : {8U, 6U}) {
    Made made;
    made.type = type;
    const NoteResult result = read_bytes(macho(made));
    BOOST_TEST_REQUIRE((result.status == NoteResult::Status::ok), result.reason);
    BOOST_TEST(result.descriptor.name == "good");
    BOOST_TEST(result.descriptor.version == "1.2.3");
    BOOST_TEST(result.descriptor.abi_major == 1);
  }
}

BOOST_AUTO_TEST_CASE(chooses_the_part_for_its_processor) {
  Made other;
  other.machine = x86_64;
  other.note = note_section(R"({"name":"other","version":"1.2.3","summary":"by hand"})");
  const std::string both = fat({{x86_64, macho(other)}, {arm64, macho()}});
  BOOST_TEST(read_bytes(both).descriptor.name == "good");
  BOOST_TEST(read_bytes(both, MachoMachine::x86_64).descriptor.name == "other");
  BOOST_TEST(read_bytes(fat({{x86_64, macho(other)}})).reason == "it is built for x86-64, this machine is arm64");
}

BOOST_AUTO_TEST_CASE(says_what_is_wrong) {
  BOOST_TEST(read_bytes("").reason == "the file is empty");
  BOOST_TEST(read_bytes("\x7f" "ELF and more").reason == "it is not a Mach-O file");
  BOOST_TEST(read_bytes(std::string("\xca\xfe\xba\xbe\0\0\0\x34 a class of Java", 24)).reason == "it is not a Mach-O file");
  const auto reason = [](auto change) {
    Made made;
    change(made);
    return read_bytes(macho(made)).reason;
  };
  BOOST_TEST(reason([](Made& made) { made.machine = x86_64; }) == "it is built for x86-64, this machine is arm64");
  BOOST_TEST(reason([](Made& made) { made.type = 2; }) == "it is not a shared object");
  BOOST_TEST(reason([](Made& made) { made.type = 1; }) == "it is not a shared object");
  BOOST_TEST(reason([](Made& made) { made.section = "__other"; }) == "it is not a kortex plugin: it has no plugin note");
  BOOST_TEST(reason([](Made& made) { made.segment = "__DATA"; }) == "it is not a kortex plugin: it has no plugin note");
  BOOST_TEST(reason([](Made& made) { made.sections = 2; }) == "its load commands are damaged");
  BOOST_TEST(reason([](Made& made) { made.segment_size = 1 << 20; }) == "the file is truncated");
  BOOST_TEST(reason([](Made& made) { made.note = note_section("{"); }) == "its plugin note holds no JSON object");
  BOOST_TEST(reason([](Made& made) { made.note.resize(20); }) == "it is not a kortex plugin: it has no plugin note");
  BOOST_TEST(read_bytes(macho().substr(0, 60)).reason == "the file is truncated");
}

BOOST_AUTO_TEST_CASE(reads_only_inside_of_any_damaged_file) {
  std::mt19937 random(4711);
  for (const std::string& whole : {macho(), fat({{x86_64, macho()}, {arm64, macho()}})})
    for (int round = 0; round < 20000; ++round) {
      std::string bytes = whole.substr(0, round % 3 == 0 ? random() % whole.size() : whole.size());
      for (int change = 0; change < 4 && !bytes.empty(); ++change) bytes[random() % bytes.size()] = static_cast<char>(round % 2 == 0 ? 0xff : random());
      const NoteResult result = read_bytes(bytes);
      BOOST_TEST_REQUIRE(((result.status == NoteResult::Status::ok) == result.reason.empty()));
    }
}

BOOST_AUTO_TEST_CASE(on_another_system_it_says_for_which_one_it_is) {
  const std::string bytes = macho();
  const NoteResult result = read_note(bytes.size(), [&](std::uint64_t offset, void* buffer, std::size_t size) {
    if (offset > bytes.size() || size > bytes.size() - offset) return false;
    std::memcpy(buffer, bytes.data() + offset, size);
    return true;
  });
  BOOST_TEST((result.status == NoteResult::Status::wrong_machine));
  BOOST_TEST(result.reason == "it is built for macOS");
}

#if defined(TEST_MACHO)
// Compiled by clang for arm64-apple-macos from the SDK's header, without anything of Apple's.
BOOST_AUTO_TEST_CASE(finds_the_note_that_the_macro_of_the_header_makes) {
  const NoteResult object = read_bytes(read_file(std::filesystem::path(TEST_MACHO) / "macho.o", 16 << 20), MachoMachine::arm64, true);
  BOOST_TEST_REQUIRE((object.status == NoteResult::Status::ok), object.reason);
  BOOST_TEST(object.descriptor.name == "good");
  BOOST_TEST(object.descriptor.summary == "made for macOS elsewhere");
  BOOST_TEST(object.descriptor.abi_major == KORTEX_ABI_MAJOR);
  BOOST_TEST(object.descriptor.min_host_minor == KORTEX_MIN_HOST_MINOR);
}
#endif
#if defined(TEST_MACHO_LINKED)
BOOST_AUTO_TEST_CASE(what_is_linked_for_macos_keeps_the_note_and_shows_one_symbol) {
  for (const char* name : {"macho.bundle", "macho.dylib"}) {
    const std::string bytes = read_file(std::filesystem::path(TEST_MACHO) / name, 16 << 20);
    const NoteResult result = read_bytes(bytes);
    BOOST_TEST_REQUIRE((result.status == NoteResult::Status::ok), name << ": " << result.reason);
    BOOST_TEST(result.descriptor.version == "1.2.3");
    BOOST_TEST(bytes.find("_kortex_runtime_plugin_v1") != std::string::npos);
    BOOST_TEST(bytes.find("kortex_not_exported") == std::string::npos);
  }
}
#endif

BOOST_AUTO_TEST_SUITE_END()
