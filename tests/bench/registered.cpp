#include "registered.hpp"

#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <vector>

#include "stopwatch.hpp"

namespace kortex::bench {
namespace {

namespace fs = std::filesystem;

std::string read(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  if (!in) throw std::runtime_error("cannot read " + file.string());
  return text.str();
}

void replace_all(std::string& text, const std::string& what, const std::string& with) {
  for (std::size_t at = 0; (at = text.find(what, at)) != std::string::npos; at += with.size()) text.replace(at, what.size(), with);
}

std::string string_member(const std::string& json, const std::string& name) {
  const std::size_t key = json.find('"' + name + '"');
  const std::size_t open = key == std::string::npos ? key : json.find('"', json.find(':', key));
  if (open == std::string::npos) throw std::runtime_error("no " + name + " in a record");
  return json.substr(open + 1, json.find('"', open + 1) - open - 1);
}

}  // namespace

void register_many(const std::string& cli, const fs::path& store, const fs::path& sources, int count) {
  const std::string name = "bench-seed";
  run({cli, "--storage", store.string(), "init", sources.string(), "--runtime", "fake", "--name", name});
  const fs::path seed = fs::canonical(store / "names" / name);
  const std::string id = seed.filename().string();
  const std::string record = read(seed / "workspace.json");
  const std::string key = string_member(record, "key");
  std::vector<fs::path> instances;  // the fake backend knows an instance by links or files called like its key
  for (const auto& entry : fs::recursive_directory_iterator(store / "runtimes" / "fake")) {
    if (entry.path().filename() == key) instances.push_back(entry.path());
  }
  if (instances.empty()) throw std::runtime_error("the fake runtime keeps its instances in another way than this benchmark expects");

  for (int i = 1; i < count; ++i) {
    char number[17];
    std::snprintf(number, sizeof number, "%016x", static_cast<unsigned>(i));
    const std::string new_id = number + id.substr(16), new_name = "bench-" + std::string(number + 8);
    const std::string new_key = number + (key.size() > 16 ? key.substr(16) : std::string());
    std::string text = record;
    replace_all(text, key, new_key);
    replace_all(text, id, new_id);
    replace_all(text, name, new_name);
    const fs::path folder = store / "workspaces" / new_id;
    fs::create_directories(folder / "runtime");
    fs::permissions(folder, fs::perms::owner_all);
    std::ofstream(folder / "workspace.json") << text;
    std::ofstream(folder / "lock").flush();
    fs::create_symlink("../workspaces/" + new_id, store / "names" / new_name);
    for (const fs::path& instance : instances) fs::copy(instance, instance.parent_path() / new_key, fs::copy_options::copy_symlinks | fs::copy_options::recursive);
  }
}

}  // namespace kortex::bench
