#include "fixture.hpp"

using namespace kortex::host;
using namespace kortex::test;

namespace {

Option option(const std::string& name, Option::Type type) {
  Option result;
  result.name = name;
  result.type = type;
  return result;
}

Description runtime_with(std::vector<Option> options) {
  Description description;
  description.name = "test";
  description.options = std::move(options);
  return description;
}

/// The value that the plugin gets.
std::string completed(const Option& taken, const std::string& value) {
  const CompletedOptions all = complete_options(runtime_with({taken}), {{taken.name, value}}, "/work dir");
  BOOST_TEST_REQUIRE(all.instance.size() == 1);
  return all.instance.front().second;
}

Error refused(const Option& taken, const std::string& value) {
  return error_of([&] { static_cast<void>(complete_options(runtime_with({taken}), {{taken.name, value}}, "/")); });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(options)

BOOST_AUTO_TEST_CASE(turns_sizes_into_exact_bytes) {
  const Option size = option("size", Option::Type::size);
  BOOST_TEST(completed(size, "100000") == "100000");
  BOOST_TEST(completed(size, "512MiB") == "536870912");
  BOOST_TEST(completed(size, "2G") == "2147483648");
  BOOST_TEST(completed(size, "1.5G") == "1610612736");
  BOOST_TEST(completed(size, "0.25KiB") == "256");
  BOOST_TEST(completed(size, "1kB") == "1000");
  BOOST_TEST(completed(size, "9223372036854775807") == "9223372036854775807");
  for (const char* wrong : {"", "G", "-1", "1.G", "1.5", "1 G", "12X", "9223372036854775808", "8388608T", "0.1K", "1e3", "0x10", "+1"})
    BOOST_TEST(refused(size, wrong).message() == "invalid value '" + std::string(wrong) +
                                                     "' for runtime option 'size': expected a size such as 512MiB, 2G or 100000");
}

BOOST_AUTO_TEST_CASE(turns_durations_into_milliseconds) {
  const Option duration = option("d", Option::Type::duration);
  BOOST_TEST(completed(duration, "30s") == "30000");
  BOOST_TEST(completed(duration, "250ms") == "250");
  BOOST_TEST(completed(duration, "5m") == "300000");
  BOOST_TEST(completed(duration, "1h") == "3600000");
  BOOST_TEST(completed(duration, "1.5s") == "1500");
  for (const char* wrong : {"", "5", "5d", "0.5ms", "9223372036854775807s"})
    BOOST_TEST(refused(duration, wrong).message() == "invalid value '" + std::string(wrong) +
                                                         "' for runtime option 'd': expected a duration such as 30s, 5m or 250ms");
}

BOOST_AUTO_TEST_CASE(checks_ranges_and_numbers) {
  Option number = option("n", Option::Type::integer);
  number.min_value = 1;
  number.max_value = 4;
  BOOST_TEST(completed(number, "4") == "4");
  BOOST_TEST(refused(number, "5").message() == "invalid value '5' for runtime option 'n': must be between 1 and 4");
  BOOST_TEST(refused(number, "4x").message() == "invalid value '4x' for runtime option 'n': expected a whole number");
  BOOST_TEST(status_of(refused(number, "")) == 2);
}

BOOST_AUTO_TEST_CASE(turns_booleans_choices_and_paths_into_what_plugins_get) {
  BOOST_TEST(completed(option("b", Option::Type::boolean), "on") == "true");
  BOOST_TEST(completed(option("b", Option::Type::boolean), "0") == "false");
  BOOST_TEST(refused(option("b", Option::Type::boolean), "maybe").message() ==
             "invalid value 'maybe' for runtime option 'b': expected true or false");
  BOOST_TEST(completed(option("p", Option::Type::path), "a/../b/") == "/work dir/b");
  BOOST_TEST(completed(option("p", Option::Type::path), "/x") == "/x");
  Option choice = option("c", Option::Type::enumeration);
  choice.choices = {"red", "green"};
  BOOST_TEST(completed(choice, "red") == "red");
  BOOST_TEST(refused(choice, "blue").message() == "invalid value 'blue' for runtime option 'c': no such choice");
  BOOST_TEST(refused(choice, "blue").hint() == "one of: red, green");
}

BOOST_AUTO_TEST_CASE(names_the_nearest_option) {
  const Description runtime = runtime_with({option("image", Option::Type::string), option("memory", Option::Type::size)});
  Error error = error_of([&] { static_cast<void>(complete_options(runtime, {{"imgae", "x"}}, "/")); });
  BOOST_TEST(error.message() == "runtime 'test' has no option 'imgae'");
  BOOST_TEST(error.hint() == "did you mean 'image'?");
  error = error_of([&] { static_cast<void>(complete_options(runtime, {{"zzz", "x"}}, "/")); });
  BOOST_TEST(error.hint() == "it takes: image, memory");
}

BOOST_AUTO_TEST_CASE(sorts_fills_in_repeats_and_requires) {
  Option repeated = option("r", Option::Type::string), global = option("g", Option::Type::size),
         secret = option("s", Option::Type::string), required = option("q", Option::Type::string);
  repeated.repeatable = global.global = secret.secret = required.required = true;
  global.default_value = "1K";
  const Description runtime = runtime_with({repeated, global, secret, required});
  const CompletedOptions all = complete_options(runtime, {{"r", "1"}, {"q", "x"}, {"r", "2"}, {"s", "word"}}, "/");
  BOOST_TEST((all.instance == KeyValues{{"r", "1"}, {"r", "2"}, {"q", "x"}}));
  BOOST_TEST((all.global == KeyValues{{"g", "1024"}}));
  BOOST_TEST((all.secret == KeyValues{{"s", "word"}}));
  BOOST_TEST(error_of([&] { static_cast<void>(complete_options(runtime, {}, "/")); }).message() ==
             "runtime 'test' needs the option 'q'");
  BOOST_TEST(error_of([&] { static_cast<void>(complete_options(runtime, {{"q", "1"}, {"q", "2"}}, "/")); }).message() ==
             "runtime option 'q' is given more than once");
}

BOOST_AUTO_TEST_CASE(reads_secrets_from_files_and_never_shows_them) {
  Sandbox sandbox;
  std::ofstream(sandbox / "token") << "tops3cret\n";
  Option secret = option("token", Option::Type::size);
  secret.secret = true;
  const Error error =
      error_of([&] { static_cast<void>(complete_options(runtime_with({secret}), {{"token", "@token"}}, sandbox.path().string())); });
  BOOST_TEST(error.message() == "invalid value for runtime option 'token': expected a size such as 512MiB, 2G or 100000");
  secret.type = Option::Type::string;
  const auto all = complete_options(runtime_with({secret}), {{"token", "@token"}}, sandbox.path().string());
  BOOST_TEST((all.secret == KeyValues{{"token", "tops3cret"}}));
  BOOST_TEST(error_of([&] { static_cast<void>(complete_options(runtime_with({secret}), {{"token", "@/nowhere"}}, "/")); }).message() ==
             "cannot read the value of runtime option 'token' from '/nowhere': no such file or directory");
}

BOOST_AUTO_TEST_SUITE_END()
