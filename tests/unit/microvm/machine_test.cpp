#include <boost/test/unit_test.hpp>

#include <algorithm>

#include "machine.hpp"

using namespace kortex::microvm;

namespace {

std::string line_of(const Machine& machine) {
  std::string line;
  for (const std::string& word : qemu_command("qemu", machine)) line += word + " ";
  return line;
}

bool has(const std::string& line, const std::string& part) { return line.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(machine)

BOOST_AUTO_TEST_CASE(denied_network_is_no_device_at_all) {
  Machine wanted;
  BOOST_TEST(!has(line_of(wanted), "virtio-net"));
  BOOST_TEST(!has(line_of(wanted), "-netdev"));
  wanted.network = true;
  BOOST_TEST(has(line_of(wanted), "-netdev stream,id=net,addr.type=fd,addr.str=6 -device virtio-net-device,netdev=net"));
}

BOOST_AUTO_TEST_CASE(acceleration_is_what_was_asked_for_and_nothing_else) {
  Machine wanted;
  BOOST_TEST(has(line_of(wanted), "-accel kvm -cpu host"));
  BOOST_TEST(!has(line_of(wanted), "tcg"));
  wanted.emulated = true;
  wanted.counter_khz = 2596000;
  BOOST_TEST(has(line_of(wanted), "-accel tcg,"));
  BOOST_TEST(has(line_of(wanted), " tsc_early_khz=2596000"));
  BOOST_TEST(!has(line_of(wanted), "kvm"));
}

BOOST_AUTO_TEST_CASE(the_control_port_is_there_and_the_sessions_can_be_plugged_in) {
  Machine wanted;
  wanted.sessions = 3;
  const std::string line = line_of(wanted);
  BOOST_TEST(has(line, "max_ports=5"));
  BOOST_TEST(has(line, "-device virtserialport,bus=sessions.0,nr=1,chardev=port1,"));
  BOOST_TEST(has(line, "-chardev socket,id=port4,fd=12,server=on,wait=off "));
  BOOST_TEST(!has(line, "port5"));
  BOOST_TEST(!has(line, "nr=2,"));
  const std::string third = session_port(3);
  BOOST_TEST(has(third, R"("nr":4)"));
  BOOST_TEST(has(third, R"("chardev":"port4")"));
  // Without a name the guest is not told when it can be opened.
  BOOST_TEST(has(third, R"("name":")"));
}

BOOST_AUTO_TEST_CASE(string_instructions_are_not_announced_where_they_are_slow) {
  Machine wanted;
  BOOST_TEST(!has(line_of(wanted), "erms"));
  wanted.emulated = true;
  BOOST_TEST(has(line_of(wanted), "-cpu max,-erms "));
}

BOOST_AUTO_TEST_CASE(names_cannot_add_options) {
  Machine wanted;
  wanted.name = "a,process=b";
  wanted.disk = "/p\",\"read-only\":true,\"x\":\"/d";
  const std::string line = line_of(wanted);
  BOOST_TEST(has(line, "-name a,,process=b"));
  BOOST_TEST(has(line, R"("filename":"/p\",\"read-only\":true,\"x\":\"/d")"));
}

BOOST_AUTO_TEST_CASE(programs_that_qemu_starts_are_none) { BOOST_TEST(has(line_of({}), "spawn=deny")); }

BOOST_AUTO_TEST_CASE(a_root_image_is_read_only) {
  Machine wanted;
  wanted.root = {Root::Kind::image, "/root.sqfs", "squashfs"};
  BOOST_TEST(has(line_of(wanted), R"("read-only":true,"discard":"unmap","file":{"driver":"file","filename":"/root.sqfs","read-only":true)"));
}

BOOST_AUTO_TEST_SUITE_END()
