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

namespace {

/// One function that begins with a call to `callee`, and the list that says so.
std::string module_that_can_be_traced(const char* callee, Elf64_Half machine = EM_X86_64) {
  const std::string code = std::string("\xe8\0\0\0\0\xc3\0\0", 8), names = std::string("\0.text\0__mcount_loc\0", 20), symbol_names = std::string(1, '\0') + callee + std::string(1, '\0');
  std::string body;
  std::vector<Elf64_Shdr> headers(8);
  const auto put = [&](unsigned index, unsigned type, std::size_t name, const std::string& bytes) {
    headers[index].sh_type = type;
    headers[index].sh_name = static_cast<Elf64_Word>(name);
    headers[index].sh_offset = sizeof(Elf64_Ehdr) + body.size();
    headers[index].sh_size = bytes.size();
    headers[index].sh_flags = type == SHT_PROGBITS ? SHF_ALLOC : 0;
    body += bytes;
  };
  const auto raw = [](const auto& record) { return std::string(reinterpret_cast<const char*>(&record), sizeof record); };
  Elf64_Sym text{}, target{};
  text.st_shndx = 1;
  target.st_name = 1;
  put(1, SHT_PROGBITS, 1, code);
  put(2, SHT_RELA, 0, raw(Elf64_Rela{1, ELF64_R_INFO(2, R_X86_64_PLT32), -4}));
  put(3, SHT_PROGBITS, 7, std::string(8, '\0'));
  put(4, SHT_RELA, 0, raw(Elf64_Rela{0, ELF64_R_INFO(1, R_X86_64_64), 0}));
  put(5, SHT_SYMTAB, 0, raw(Elf64_Sym{}) + raw(text) + raw(target));
  put(6, SHT_STRTAB, 0, symbol_names);
  put(7, SHT_STRTAB, 0, names);
  headers[2].sh_info = 1;
  headers[4].sh_info = 3;
  headers[2].sh_link = headers[4].sh_link = 5;
  headers[5].sh_link = 6;
  Elf64_Ehdr file{};
  std::memcpy(file.e_ident, ELFMAG, SELFMAG);
  file.e_ident[EI_CLASS] = ELFCLASS64;
  file.e_ident[EI_DATA] = ELFDATA2LSB;
  file.e_type = ET_REL;
  file.e_machine = machine;
  file.e_shentsize = sizeof(Elf64_Shdr);
  file.e_shnum = 8;
  file.e_shstrndx = 7;
  file.e_shoff = sizeof file + body.size();
  std::string all = raw(file) + body;
  for (const Elf64_Shdr& header : headers) all += raw(header);
  return all;
}

std::string code_of(const std::string& module) { return module.substr(sizeof(Elf64_Ehdr), 6); }

Elf64_Xword size_of_list(const std::string& module) {
  Elf64_Shdr header;
  std::memcpy(&header, module.data() + module.size() - 5 * sizeof header, sizeof header);
  return header.sh_size;
}

}  // namespace

BOOST_AUTO_TEST_CASE(calls_for_tracers_are_made_into_nothing_and_listed_no_more) {
  const std::string slim = slim_module(module_that_can_be_traced("__fentry__"));
  BOOST_TEST(code_of(slim) == std::string("\x0f\x1f\x44\0\0\xc3", 6));
  BOOST_TEST(size_of_list(slim) == 0u);
  Elf64_Rela call;
  std::memcpy(&call, slim.data() + sizeof(Elf64_Ehdr) + 8, sizeof call);
  BOOST_TEST(ELF64_R_TYPE(call.r_info) == static_cast<unsigned>(R_X86_64_NONE));
}

BOOST_AUTO_TEST_CASE(calls_that_are_not_as_expected_stay_and_so_does_their_list) {
  for (const std::string& whole : {module_that_can_be_traced("something"), module_that_can_be_traced("__fentry__", EM_AARCH64)}) BOOST_TEST(slim_module(whole) == whole);
  std::string other = module_that_can_be_traced("__fentry__");
  other[sizeof(Elf64_Ehdr)] = '\x90';
  BOOST_TEST(slim_module(other) == other);
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
