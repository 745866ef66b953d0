#include <algorithm>
#include <deque>

#include "fixture.hpp"
#include "runtimes/inquiry.hpp"

using namespace kortex::host;
using namespace kortex::test;
using namespace std::chrono_literals;

namespace {

std::vector<kortex_ref> refs(std::size_t count) {
  static std::deque<std::string> keys;
  std::vector<kortex_ref> refs;
  for (std::size_t i = 0; i < count; ++i) {
    if (keys.size() == i) keys.push_back("key-" + std::to_string(i));
    refs.push_back({sizeof(kortex_ref), 0, keys[i].c_str(), nullptr, "n", "/"});
  }
  return refs;
}

void begin(Inquiry& inquiry, const Misbehaving& plugin) {
  inquiry.begin(plugin.runtime.file(), plugin.runtime.context(), plugin.workspace.global_options);
}

InquiryResult ask(const std::string& fault, std::size_t count) {
  Misbehaving plugin(fault);
  Inquiry inquiry(20s);
  begin(inquiry, plugin);
  return inquiry.finish({refs(count)}).front();
}

std::size_t running(const InquiryResult& result) {
  return static_cast<std::size_t>(std::count_if(result.instances.begin(), result.instances.end(),
                                                [](const Instance& i) { return i.state == State::running; }));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(inquiry)

BOOST_AUTO_TEST_CASE(does_not_call_a_runtime_about_nobody) {
  const InquiryResult result = ask("crash-in-the-middle", 0);
  BOOST_TEST(!result.error.has_value());
  BOOST_TEST(result.instances.empty());
}

BOOST_AUTO_TEST_CASE(ends_what_it_began_and_never_asked) {
  Misbehaving plugin("");
  Inquiry inquiry(20s);
  begin(inquiry, plugin);
}

BOOST_AUTO_TEST_CASE(answers_for_ten_thousand_in_their_order) {
  const InquiryResult result = ask("", 10000);
  BOOST_TEST(!result.error.has_value());
  BOOST_TEST(running(result) == 10000u);
  BOOST_TEST(result.instances[9999].key == "key-9999");
}

BOOST_AUTO_TEST_CASE(leaves_unknown_what_was_not_reported) {
  const InquiryResult result = ask("forget", 3);
  BOOST_TEST_REQUIRE(result.error.has_value());
  BOOST_TEST(result.error->message() == "runtime 'misbehaving' 1.2.3 reported 2 of 3 instances in inspect (bug in the runtime)");
  BOOST_TEST(running(result) == 2u);
  BOOST_TEST((result.instances[2].state == State::unknown && result.instances[2].key == "key-2"));
}

BOOST_AUTO_TEST_CASE(ignores_what_nobody_asked_for) {
  const InquiryResult result = ask("surplus", 3);
  BOOST_TEST_REQUIRE(result.error.has_value());
  BOOST_TEST(result.error->message() ==
             "runtime 'misbehaving' 1.2.3 reported instance 'surplus' once too often in inspect (bug in the runtime)");
  BOOST_TEST(running(result) == 3u);
}

BOOST_AUTO_TEST_CASE(keeps_what_was_reported_before_a_crash) {
  const InquiryResult result = ask("crash-in-the-middle", 3);
  BOOST_TEST_REQUIRE(result.error.has_value());
  BOOST_TEST(result.error->message() == "runtime 'misbehaving' 1.2.3 crashed in inspect (segmentation fault)");
  BOOST_TEST(running(result) == 2u);
}

BOOST_AUTO_TEST_CASE(does_not_let_one_runtime_cost_another_its_answer) {
  Misbehaving good(""), crashing("crash-in-the-middle"), deaf("deaf");
  Inquiry inquiry(300ms);
  for (const Misbehaving* plugin : {&deaf, &crashing, &good}) begin(inquiry, *plugin);
  bool called = false;
  const auto results = inquiry.finish({refs(3), refs(3), refs(3)}, [&] { called = true; });
  BOOST_TEST(called);
  BOOST_TEST_REQUIRE(results.size() == 3u);
  BOOST_TEST_REQUIRE(results[0].error.has_value());
  BOOST_TEST(results[0].error->message() == "runtime 'misbehaving' 1.2.3 did not finish inspect within 300 ms");
  BOOST_TEST(running(results[0]) == 3u);
  BOOST_TEST(results[1].error.has_value());
  BOOST_TEST(!results[2].error.has_value());
  BOOST_TEST(running(results[2]) == 3u);
}

BOOST_AUTO_TEST_SUITE_END()
