#include "instances/project.hpp"

#include <optional>
#include <sstream>
#include <system_error>

#include "instances/names.hpp"
#include "system/files.hpp"

namespace kortex::host {

namespace fs = std::filesystem;

namespace {

std::optional<std::string> content(const fs::path& file) {
  try {
    return read_file(file, 1024 * 1024);
  } catch (const std::system_error&) {
    return std::nullopt;
  }
}

std::string trimmed(const std::string& text) {
  const auto start = text.find_first_not_of(" \t\r\n");
  if (start == std::string::npos) return {};
  return text.substr(start, text.find_last_not_of(" \t\r\n") - start + 1);
}

/// The file with the remotes: in .git, or, in a linked worktree, where .git and then commondir point.
std::optional<fs::path> git_config(const fs::path& sources) {
  std::error_code error;
  for (fs::path directory = sources;; directory = directory.parent_path()) {
    const fs::path git = directory / ".git";
    const auto status = fs::status(git, error);
    if (fs::is_directory(status)) return git / "config";
    if (fs::is_regular_file(status)) {
      const std::string text = content(git).value_or("");
      if (text.compare(0, 7, "gitdir:") != 0) return std::nullopt;
      fs::path real = trimmed(text.substr(7));
      if (real.is_relative()) real = directory / real;
      const auto shared = content(real / "commondir");
      if (!shared) return real / "config";
      const fs::path where = trimmed(*shared);
      return (where.is_relative() ? real / where : where) / "config";
    }
    if (directory == directory.parent_path()) return std::nullopt;
  }
}

std::string unquoted(const std::string& value) {
  std::string result;
  bool quoted = false;
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (value[i] == '"') quoted = !quoted;
    else if (value[i] == '\\' && i + 1 < value.size()) result += value[++i];
    else if (!quoted && (value[i] == '#' || value[i] == ';')) break;
    else result += value[i];
  }
  return trimmed(result);
}

std::string origin_url(const std::string& config) {
  std::istringstream lines(config);
  bool inside = false;
  for (std::string line; std::getline(lines, line);) {
    line = trimmed(line);
    if (!line.empty() && line.front() == '[') {
      const auto end = line.find(']');
      inside = line.substr(0, end == std::string::npos ? end : end + 1) == "[remote \"origin\"]";
      continue;
    }
    const auto equals = line.find('=');
    if (inside && equals != std::string::npos && trimmed(line.substr(0, equals)) == "url") return unquoted(line.substr(equals + 1));
  }
  return {};
}

}  // namespace

std::string without_credentials(const std::string& url) {
  const auto scheme = url.find("://");
  if (scheme == std::string::npos) return url;
  const auto start = scheme + 3;
  const auto end = url.find_first_of("/?#", start);
  const std::string authority = url.substr(start, end == std::string::npos ? end : end - start);
  const auto at = authority.rfind('@');
  if (at == std::string::npos) return url;
  std::string user = authority.substr(0, at);
  const bool ssh = url.substr(0, scheme).find("ssh") != std::string::npos;
  user = ssh ? user.substr(0, user.find(':')) + "@" : std::string();
  return url.substr(0, start) + user + url.substr(start + at + 1);
}

std::string project_of(const fs::path& sources) {
  if (const auto config = git_config(sources)) {
    std::string url = without_credentials(origin_url(content(*config).value_or("")));
    bool good = !url.empty() && url.size() <= 1024 && is_utf8(url);
    for (const char c : url) good = good && static_cast<unsigned char>(c) >= 0x20 && c != 0x7f;
    if (good) return url;
  }
  return sources.filename().string();
}

}  // namespace kortex::host
