#include "runtimes/pins.hpp"

#include <algorithm>
#include <sstream>
#include <system_error>

#include "system/files.hpp"
#include "system/sha256.hpp"

namespace kortex::host {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t max_file_size = 64 * 1024;

std::string trimmed(const std::string& text) {
  const std::size_t begin = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
  return begin == std::string::npos ? std::string() : text.substr(begin, end - begin + 1);
}

std::string lowered(std::string text) {
  for (char& c : text)
    if (c >= 'A' && c <= 'F') c = static_cast<char>(c - 'A' + 'a');
  return text;
}

}  // namespace

Pins::Place Pins::read(const fs::path& directory) {
  Place place;
  std::error_code error;
  std::vector<fs::path> files;
  for (fs::directory_iterator at(directory, error), end; !error && at != end; at.increment(error))
    if (at->path().extension() == ".conf") files.push_back(at->path());
  if (error && error != std::errc::no_such_file_or_directory && error != std::errc::not_a_directory) {
    place.problem = "'" + directory.string() + "' cannot be read: " + unreadable_because(error);
    return place;
  }
  std::sort(files.begin(), files.end());
  for (const fs::path& file : files) {
    std::string text;
    try {
      text = read_file(file, max_file_size);
    } catch (const std::system_error& failure) {
      place.problem = "'" + file.string() + "' cannot be read: " + unreadable_because(failure.code());
      return place;
    }
    std::istringstream lines(text);
    int number = 0;
    for (std::string line; std::getline(lines, line);) {
      ++number;
      line = trimmed(line.substr(0, line.find('#')));
      if (line.empty()) continue;
      const std::size_t equals = line.find('=');
      const std::string key = trimmed(line.substr(0, equals));
      const std::string value = equals == std::string::npos ? std::string() : trimmed(line.substr(equals + 1));
      if (key == "sha256" && is_sha256(value)) {
        place.digests[file.stem().string()].push_back(lowered(value));
        place.files[file.stem().string()] = file;
      } else if (key == "policy" && value == "pinned-only") {
        place.policy = file;
      } else {
        place.problem = "'" + file.string() + "' has a line " + std::to_string(number) +
                        " that is neither 'sha256 = ' and 64 digits nor 'policy = pinned-only'";
        return place;
      }
    }
  }
  return place;
}

Pins::Pins(const std::vector<fs::path>& directories) {
  for (const fs::path& directory : directories) m_places.push_back(read(directory));
}

std::string Pins::refusal(const std::string& runtime, const fs::path& file) const {
  std::string digest;
  bool pinned = false;
  for (const Place& place : m_places) {
    if (!place.problem.empty()) return "the pins of runtimes are not understood: " + place.problem;
    const auto found = place.digests.find(runtime);
    if (found == place.digests.end()) {
      if (!place.policy.empty() && !pinned) return "it is not pinned, and '" + place.policy.string() + "' allows only runtimes that are";
      continue;
    }
    pinned = true;
    if (digest.empty()) {
      try {
        digest = sha256_of_file(file);
      } catch (const std::system_error& failure) {
        return "it cannot be compared with its pin: " + unreadable_because(failure.code());
      }
    }
    if (std::find(found->second.begin(), found->second.end(), digest) == found->second.end())
      return "its sha256 is not the one that is pinned in '" + place.files.at(runtime).string() + "'";
  }
  return {};
}

}  // namespace kortex::host
