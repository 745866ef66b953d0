extern "C" {
#include "frame.h"
}

#include <boost/test/unit_test.hpp>
#include <random>
#include <string>

namespace {

struct Reader {
  frame_reader reader{};
  ~Reader() { frame_reader_free(&reader); }
  void feed(const std::string& bytes) { BOOST_REQUIRE(frame_feed(&reader, bytes.data(), bytes.size())); }
};

std::string frame_bytes(std::uint8_t type, const std::string& payload, std::uint8_t flags = 0) {
  std::string bytes(KORTEX_SESSION_HEADER, '\0');
  put_header(reinterpret_cast<unsigned char*>(bytes.data()), type, payload.size());
  bytes[1] = static_cast<char>(flags);
  return bytes + payload;
}

std::string text(const frame& f) { return std::string(reinterpret_cast<const char*>(f.payload), f.length); }

std::string request(std::uint32_t argc, std::uint32_t envc, const std::string& strings) {
  std::string payload(16, '\0');
  auto* at = reinterpret_cast<unsigned char*>(payload.data());
  put_u32(at + 8, argc);
  put_u32(at + 12, envc);
  return payload + strings;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(frames)

BOOST_AUTO_TEST_CASE(comes_out_whole_when_it_arrives_byte_by_byte) {
  Reader r;
  ::frame f{};
  const std::string bytes = frame_bytes(KORTEX_SESSION_STDIN, "hello") + frame_bytes(KORTEX_SESSION_STDIN_EOF, "");
  std::string seen;
  for (const char c : bytes) {
    r.feed(std::string(1, c));
    while (frame_next(&r.reader, &f) == FRAME_READY) seen += std::to_string(f.type) + ":" + text(f) + ";";
  }
  BOOST_TEST(seen == "19:hello;20:;");
}

BOOST_AUTO_TEST_CASE(with_a_length_beyond_the_limit_is_garbage) {
  Reader r;
  ::frame f{};
  r.feed(std::string("\x13\0\0\0\x01\0\x01\0", 8));
  BOOST_TEST(frame_next(&r.reader, &f) == FRAME_GARBAGE);
}

BOOST_AUTO_TEST_CASE(goes_on_in_the_next_one_only_for_requests) {
  Reader r;
  ::frame f{};
  r.feed(frame_bytes(KORTEX_SESSION_START, "one ", KORTEX_SESSION_MORE) + frame_bytes(KORTEX_SESSION_START, "two"));
  BOOST_TEST(frame_next(&r.reader, &f) == FRAME_READY);
  BOOST_TEST(text(f) == "one two");
  r.feed(frame_bytes(KORTEX_SESSION_STDIN, "x", KORTEX_SESSION_MORE));
  BOOST_TEST(frame_next(&r.reader, &f) == FRAME_GARBAGE);
}

BOOST_AUTO_TEST_CASE(of_another_type_within_a_request_is_garbage) {
  Reader r;
  ::frame f{};
  r.feed(frame_bytes(KORTEX_SESSION_START, "one", KORTEX_SESSION_MORE) + frame_bytes(KORTEX_SESSION_STDIN, "two"));
  BOOST_TEST(frame_next(&r.reader, &f) == FRAME_GARBAGE);
}

BOOST_AUTO_TEST_CASE(collects_requests_only_up_to_a_limit) {
  Reader r;
  ::frame f{};
  const std::string part = frame_bytes(KORTEX_SESSION_RUN, std::string(65536, 'x'), KORTEX_SESSION_MORE);
  int parts = 0;
  frame_result result = FRAME_NONE;
  while (result == FRAME_NONE && parts++ < 100) {
    r.feed(part);
    result = frame_next(&r.reader, &f);
  }
  BOOST_TEST(result == FRAME_GARBAGE);
  BOOST_TEST(parts == 33);
}

BOOST_AUTO_TEST_CASE(of_a_request_is_taken_apart) {
  const std::string payload = request(2, 1, std::string("cat\0-n\0A=b\0/tmp\0", 16));
  const ::frame f{KORTEX_SESSION_RUN, reinterpret_cast<const unsigned char*>(payload.data()), payload.size()};
  program_request p{};
  BOOST_REQUIRE(program_request_read(&f, &p));
  BOOST_TEST(p.argv[0] == std::string("cat"));
  BOOST_TEST(p.argv[1] == std::string("-n"));
  BOOST_TEST(p.argv[2] == nullptr);
  BOOST_TEST(p.env[0] == std::string("A=b"));
  BOOST_TEST(p.env[1] == nullptr);
  BOOST_TEST(p.directory == std::string("/tmp"));
  program_request_free(&p);
}

BOOST_AUTO_TEST_CASE(of_a_request_with_lies_in_it_is_refused) {
  for (const std::string& payload :
       {request(0, 0, std::string("\0", 1)), request(0xffffffff, 0, "x"), request(1, 0xfffffff0, std::string("a\0", 2)),
        request(2, 0, std::string("a\0", 2)), request(1, 0, std::string("a\0b", 3)), request(1, 0, std::string("\0/\0", 3)),
        std::string("short")}) {
    const ::frame f{KORTEX_SESSION_RUN, reinterpret_cast<const unsigned char*>(payload.data()), payload.size()};
    program_request p{};
    BOOST_TEST(!program_request_read(&f, &p));
  }
}

BOOST_AUTO_TEST_CASE(reader_survives_noise) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    Reader r;
    ::frame f{};
    std::string bytes(random() % 200, '\0');
    for (char& c : bytes) c = static_cast<char>(random() % 4 ? random() % 60 : random());
    for (std::size_t i = 6; i + 1 < bytes.size(); i += 8) bytes[i] = bytes[i + 1] = 0;  // many lengths are plausible
    r.feed(bytes);
    frame_result result;
    while ((result = frame_next(&r.reader, &f)) == FRAME_READY) {
      program_request p{};
      if (program_request_read(&f, &p)) program_request_free(&p);
    }
    BOOST_TEST((result == FRAME_NONE || result == FRAME_GARBAGE));
  }
}

BOOST_AUTO_TEST_SUITE_END()
