#include "holder_program.hpp"

#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <fstream>

#include <kortex/error.hpp>

#include "refusal.hpp"
#include "sandbox.hpp"

using namespace kortex::apple;
using kortex::test::expect_error;
using kortex::test::Sandbox;

namespace {

std::string elf(unsigned machine, const std::string& more = {}) {
  std::string out = std::string("\x7f" "ELF\x02\x01", 6);
  out.resize(64);
  out[18] = static_cast<char>(machine);
  return out + more;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(holder_program)

BOOST_AUTO_TEST_CASE(knows_for_which_machine_a_program_is) {
  BOOST_TEST(architecture_of(elf(183)) == "arm64");
  BOOST_TEST(architecture_of(elf(62)) == "amd64");
  BOOST_TEST(architecture_of(elf(3)) == "");
  BOOST_TEST(architecture_of("#!/bin/sh") == "");
  BOOST_TEST(architecture_of("") == "");
  if (!carried_holder().empty()) BOOST_TEST(architecture_of(carried_holder()) == "arm64");
}

BOOST_AUTO_TEST_CASE(takes_the_installed_one_where_it_fits_and_else_the_carried_one) {
  const Sandbox place;
  const std::string installed = (place / "installed").string(), put = (place / "kortex-session").string();
  std::ofstream(installed, std::ios::binary) << elf(62, "installed");
  put_holder("amd64", installed, place.path().string());
  BOOST_TEST(std::filesystem::file_size(put) == elf(62, "installed").size());
  BOOST_TEST(((std::filesystem::status(put).permissions() & std::filesystem::perms::others_exec) != std::filesystem::perms::none));
  if (carried_holder().empty()) {
    expect_error([&] { put_holder("arm64", installed, place.path().string()); }, KORTEX_E_UNSUPPORTED,
                 "cannot run the agent in a linux/arm64 container: there is no session holder for it here");
  } else {
    put_holder("arm64", installed, place.path().string());
    BOOST_TEST(std::filesystem::file_size(put) == carried_holder().size());
  }
  expect_error([&] { put_holder("riscv64", installed, place.path().string()); }, KORTEX_E_UNSUPPORTED,
               "cannot run the agent in a linux/riscv64 container: there is no session holder for it here");
  expect_error([&] { put_holder("amd64", "", place.path().string()); }, KORTEX_E_UNSUPPORTED,
               "cannot run the agent in a linux/amd64 container: there is no session holder for it here");
}

BOOST_AUTO_TEST_SUITE_END()
