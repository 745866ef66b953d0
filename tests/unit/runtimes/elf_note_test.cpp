#include "runtimes/elf_note.hpp"

#include <cstring>
#include <random>

#include "fixture.hpp"
#include "system/files.hpp"

using namespace kortex::host;
using namespace kortex::test;

namespace {

NoteResult read_bytes(const std::string& bytes) {
  return read_note(bytes.size(), [&](std::uint64_t offset, void* buffer, std::size_t size) {
    BOOST_TEST_REQUIRE((offset <= bytes.size() && size <= bytes.size() - offset), "reads outside of the file");
    std::memcpy(buffer, bytes.data() + offset, size);
    return true;
  });
}

std::string good() {
  return read_file(std::filesystem::path(TEST_PLUGINS) / plugin_file_name("good"), 16 << 20);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(elf_note)

BOOST_AUTO_TEST_CASE(reads_only_inside_of_any_damaged_file) {
  const std::string whole = good();
  BOOST_TEST_REQUIRE((read_bytes(whole).status == NoteResult::Status::ok));
  std::mt19937 random(4711);
  for (int round = 0; round < 20000; ++round) {
    std::string bytes = whole.substr(0, round % 3 == 0 ? random() % 4096 : whole.size());
    for (int change = 0; change < 4 && !bytes.empty(); ++change) {
      const std::size_t at = random() % std::min<std::size_t>(bytes.size(), 1024);
      bytes[at] = static_cast<char>(round % 2 == 0 ? 0xff : random());
    }
    const NoteResult result = read_bytes(bytes);
    BOOST_TEST_REQUIRE(((result.status == NoteResult::Status::ok) == result.reason.empty()));
  }
}

BOOST_AUTO_TEST_CASE(bounds_the_number_of_program_headers) {
  std::string bytes = good();
  bytes[57] = 1;  // e_phnum + 256
  BOOST_TEST(read_bytes(bytes).reason == "it has too many program headers");
}

BOOST_AUTO_TEST_CASE(knows_names) {
  BOOST_TEST(is_runtime_name("podman"));
  BOOST_TEST(is_runtime_name("a-1"));
  BOOST_TEST(!is_runtime_name(""));
  BOOST_TEST(!is_runtime_name("1a"));
  BOOST_TEST(!is_runtime_name("Podman"));
  BOOST_TEST(!is_runtime_name("../x"));
  BOOST_TEST(is_runtime_name(std::string(32, 'a')));
  BOOST_TEST(!is_runtime_name(std::string(33, 'a')));
}

BOOST_AUTO_TEST_SUITE_END()
