#include "bench.hpp"

#include <fstream>

#include "instance.hpp"

namespace kortex::check {

namespace fs = std::filesystem;

namespace {

HostPlaces places_in(const Arguments& arguments, const fs::path& shared) {
  HostPlaces places;
  places.plugin_file = arguments.plugin;
  places.state_dir = (shared / "state").string();
  places.cache_dir = (shared / "cache").string();
  places.runtime_dir = (shared / "run").string();
  places.session_program = arguments.session_program;
  places.options = arguments.options;
  places.record = arguments.record;
  for (const std::string& directory : {places.state_dir, places.cache_dir, places.runtime_dir})
    if (fs::create_directories(directory)) fs::permissions(directory, fs::perms::owner_all);
  return places;
}

}  // namespace

Bench::Bench(const Arguments& arguments, const Survey& survey, fs::path shared, fs::path own, std::string key_prefix)
    : m_arguments(arguments), m_survey(survey), m_places(places_in(arguments, shared)), m_own(std::move(own)), m_key_prefix(std::move(key_prefix)) {
  fs::create_directories(m_own);
}

Outcome Bench::perform(const OperationSettings& settings, const Body& body) const { return Operation(m_places, settings, body).finish(); }

Instance& Bench::instance(const Wish& wish) {
  const std::string number = std::to_string(m_instances.size() + 1);
  m_instances.push_back(std::make_unique<Instance>(*this, wish, m_key_prefix + number, m_own / ("i" + number)));
  return *m_instances.back();
}

Instance& Bench::running(const Wish& wish) {
  Instance& made = instance(wish);
  expect_ok(made.create());
  expect_ok(made.start());
  return made;
}

void expect_ok(const Outcome& outcome) {
  if (!outcome.ok()) fail(outcome.what_happened() + (outcome.complaints.empty() ? "" : "; " + outcome.complaints.front()));
}

bool remove_left_instances(const Arguments& arguments, const Survey& survey, const fs::path& shared, const fs::path& own) {
  bool clean = true;
  std::ifstream list(own / "instances");
  const Bench bench(arguments, survey, shared, own, "");
  for (std::string key, place; std::getline(list, key) && std::getline(list, place);) {
    Instance left(bench, {}, key, place);
    std::string id;
    std::ifstream(fs::path(place) / "id") >> id;
    left.m_id = id;
    clean = left.remove(KORTEX_REMOVE_FORCE).ok() && clean;
  }
  return clean;
}

}  // namespace kortex::check
