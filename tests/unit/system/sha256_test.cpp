#include "system/sha256.hpp"

#include <boost/test/unit_test.hpp>
#include <fstream>

#include "sandbox.hpp"

namespace {

using kortex::host::Sha256;

std::string digest_of(const std::string& text, std::size_t at_once) {
  Sha256 sum;
  for (std::size_t at = 0; at < text.size(); at += at_once) sum.add(std::string_view(text).substr(at, at_once));
  return sum.digest();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(sha256)

BOOST_AUTO_TEST_CASE(gives_the_digests_of_the_standard) {
  BOOST_TEST(digest_of("", 1) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  BOOST_TEST(digest_of("abc", 1) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_TEST(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 7) ==
             "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  const std::string million(1000000, 'a');
  for (const std::size_t at_once : {std::size_t{63}, std::size_t{64}, std::size_t{65}, million.size()})
    BOOST_TEST(digest_of(million, at_once) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

BOOST_AUTO_TEST_CASE(reads_regular_files_only) {
  const kortex::test::Sandbox sandbox;
  std::ofstream(sandbox / "file") << "abc";
  BOOST_TEST(kortex::host::sha256_of_file(sandbox / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  BOOST_CHECK_THROW(static_cast<void>(kortex::host::sha256_of_file(sandbox.path())), std::system_error);
  BOOST_CHECK_THROW(static_cast<void>(kortex::host::sha256_of_file(sandbox / "none")), std::system_error);
}

BOOST_AUTO_TEST_SUITE_END()
