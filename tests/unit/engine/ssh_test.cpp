#include "engine/ssh.hpp"

#include <boost/test/unit_test.hpp>

using namespace kortex;
using namespace kortex::engine;

BOOST_AUTO_TEST_SUITE(ssh)

BOOST_AUTO_TEST_CASE(takes_an_address_apart) {
  const auto whole = SshAddress::parse("ssh://me@big.example:2222/run/docker.sock");
  BOOST_REQUIRE(whole.has_value());
  BOOST_TEST(whole->user == "me");
  BOOST_TEST(whole->machine == "big.example");
  BOOST_TEST(whole->port == "2222");
  BOOST_TEST(whole->socket == "/run/docker.sock");
  BOOST_TEST(whole->destination() == "me@big.example");
  BOOST_TEST(whole->by_hand() == "ssh -p 2222 me@big.example");

  const auto least = SshAddress::parse("ssh://box/");
  BOOST_REQUIRE(least.has_value());
  BOOST_TEST(least->user.empty());
  BOOST_TEST(least->socket.empty());
  BOOST_TEST(least->by_hand() == "ssh box");

  const auto numbers = SshAddress::parse("ssh://core@[fe80::1]:22\t/keys/id");
  BOOST_REQUIRE(numbers.has_value());
  BOOST_TEST(numbers->machine == "fe80::1");
  BOOST_TEST(numbers->port == "22");
  BOOST_TEST(numbers->identity == "/keys/id");
}

BOOST_AUTO_TEST_CASE(leaves_other_addresses_to_others) {
  for (const char* text : {"", "unix:///run/x.sock", "/run/x.sock", "tcp://machine:2375"}) BOOST_TEST(!SshAddress::parse(text).has_value(), text);
}

BOOST_AUTO_TEST_CASE(refuses_what_ssh_would_misunderstand) {
  for (const char* text : {"ssh://", "ssh://me@", "ssh://-oProxyCommand=touch", "ssh://-l@machine", "ssh://machine:", "ssh://machine:22x", "ssh://[::1", "ssh://me:secret@machine"})
    BOOST_CHECK_EXCEPTION((void)SshAddress::parse(text), Error, [](const Error& error) { return error.code == KORTEX_E_INVALID; });
}

BOOST_AUTO_TEST_CASE(never_repeats_a_password) {
  try {
    (void)SshAddress::parse("ssh://me:secret@machine");
    BOOST_ERROR("it was taken");
  } catch (const Error& error) {
    BOOST_TEST(std::string(error.what()).find("secret") == std::string::npos);
    BOOST_TEST(error.hint == "ssh-copy-id machine");
  }
}

BOOST_AUTO_TEST_SUITE_END()
