#include <elf.h>

#include <boost/test/unit_test.hpp>

#include <cstring>
#include <vector>

#include "modules.hpp"

using namespace kortex::microvm;

namespace {

/// A module with sections of these names, eight bytes each.
std::string module_with(const std::vector<std::string>& names) {
  std::string texts(1, '\0');
  std::vector<Elf64_Shdr> headers(names.size() + 2);
  for (std::size_t i = 0; i < names.size(); ++i) {
    headers[i + 1].sh_name = static_cast<Elf64_Word>(texts.size());
    headers[i + 1].sh_type = SHT_PROGBITS;
    headers[i + 1].sh_flags = SHF_ALLOC;
    headers[i + 1].sh_size = 8;
    texts += names[i] + '\0';
  }
  Elf64_Ehdr file{};
  std::memcpy(file.e_ident, ELFMAG, SELFMAG);
  file.e_ident[EI_CLASS] = ELFCLASS64;
  file.e_ident[EI_DATA] = ELFDATA2LSB;
  file.e_type = ET_REL;
  file.e_shentsize = sizeof(Elf64_Shdr);
  file.e_shnum = static_cast<Elf64_Half>(headers.size());
  file.e_shstrndx = static_cast<Elf64_Half>(headers.size() - 1);
  file.e_shoff = sizeof file + texts.size();
  headers.back().sh_type = SHT_STRTAB;
  headers.back().sh_offset = sizeof file;
  headers.back().sh_size = texts.size();
  return std::string(reinterpret_cast<const char*>(&file), sizeof file) + texts +
         std::string(reinterpret_cast<const char*>(headers.data()), headers.size() * sizeof(Elf64_Shdr));
}

std::vector<Elf64_Xword> sizes(const std::string& module) {
  Elf64_Ehdr file;
  std::memcpy(&file, module.data(), sizeof file);
  std::vector<Elf64_Xword> out;
  for (unsigned i = 1; i + 1u < file.e_shnum; ++i) {
    Elf64_Shdr header;
    std::memcpy(&header, module.data() + file.e_shoff + i * sizeof header, sizeof header);
    BOOST_TEST((header.sh_type == SHT_NULL) == (header.sh_size == 0));
    BOOST_TEST((header.sh_flags == 0) == (header.sh_size == 0));
    out.push_back(header.sh_size);
  }
  return out;
}

std::string signature(std::size_t size) {
  return std::string(size, 's') + std::string(8, '\0') + std::string({0, 0, static_cast<char>(size >> 8), static_cast<char>(size)}) + "~Module signature appended~\n";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(slim_modules)

BOOST_AUTO_TEST_CASE(what_only_debuggers_and_tracers_want_is_dropped_and_nothing_else) {
  const std::vector<Elf64_Xword> expected{8, 0, 8, 0, 0, 8};
  const std::string slim = slim_module(module_with({".text", ".BTF", ".BTF_ids", ".orc_unwind", ".orc_unwind_ip", "__mcount_loc"}));
  BOOST_TEST(sizes(slim) == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(the_signature_goes_too) {
  const std::string plain = module_with({".text"});
  BOOST_TEST(slim_module(plain + signature(678)) == plain);
}

BOOST_AUTO_TEST_CASE(what_is_not_understood_stays_as_it_is) {
  const std::string whole = module_with({".text", ".BTF"});
  const std::vector<Elf64_Xword> expected{8, 0};
  BOOST_TEST(sizes(slim_module(whole)) == expected, boost::test_tools::per_element());
  for (const std::string& odd : {std::string(), std::string("text"), std::string(100, '\0') + signature(20), whole.substr(0, whole.size() - 1)}) BOOST_TEST(slim_module(odd) == odd);
  std::string other = whole;
  other[EI_CLASS] = ELFCLASS32;
  BOOST_TEST(slim_module(other) == other);
  // A signature that would be larger than the file.
  std::string lying = whole + signature(20);
  lying[lying.size() - 28 - 4] = '\x7f';
  BOOST_TEST(slim_module(lying).size() == lying.size());
}

BOOST_AUTO_TEST_SUITE_END()
