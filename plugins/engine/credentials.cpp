#include "engine/credentials.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "engine/json_read.hpp"

namespace kortex::engine {
namespace {

constexpr const char* docker_hub = "https://index.docker.io/v1/";
constexpr char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

json::value read_json(const std::string& file) {
  std::ifstream in(file);
  const std::string text((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
  boost::system::error_code error;
  json::value out = json::parse(text, error);
  return error ? json::value() : out;
}

/// "https://registry.example/v1/" → "registry.example": how older logins wrote it.
std::string bare(std::string key) {
  for (const char* scheme : {"https://", "http://"})
    if (key.rfind(scheme, 0) == 0) key.erase(0, std::string(scheme).size());
  for (const char* end : {"/v1/", "/v2/", "/v1", "/v2", "/"})
    if (const std::string tail = end; key.size() > tail.size() && key.compare(key.size() - tail.size(), tail.size(), tail) == 0) {
      key.erase(key.size() - tail.size());
      break;
    }
  return key == "index.docker.io" || key == "registry-1.docker.io" ? "docker.io" : key;
}

std::string encoded(const std::string& user, const std::string& secret, const std::string& token, const std::string& server) {
  json::object out{{"serveraddress", server}};
  if (!token.empty()) {
    out["identitytoken"] = token;
  } else {
    out["username"] = user;
    out["password"] = secret;
  }
  return base64(json::serialize(out), true);
}

/// A helper's answer; empty: it has none.
std::string of_helper(const Call& call, const std::string& helper, const std::string& server) {
  // A name, not a path: what a file of settings says is not run from anywhere.
  if (helper.find('/') != std::string::npos) return {};
  Process process;
  process.argv = {"docker-credential-" + helper, "get"};
  process.input = server;
  const ProcessResult result = call.run(process);
  boost::system::error_code error;
  const json::value said = json::parse(result.out, error);
  if (result.exit_code != 0 || error) return {};
  const std::string user = text_at(said, {"Username"}), secret = text_at(said, {"Secret"});
  if (secret.empty()) return {};
  return user == "<token>" ? encoded("", "", secret, server) : encoded(user, secret, "", server);
}

std::string of_entry(const json::value& entry, const std::string& server) {
  const std::string token = text_at(entry, {"identitytoken"});
  if (!token.empty()) return encoded("", "", token, server);
  const std::string pair = from_base64(text_at(entry, {"auth"}));
  const std::size_t colon = pair.find(':');
  if (colon != std::string::npos) return encoded(pair.substr(0, colon), pair.substr(colon + 1), "", server);
  const std::string user = text_at(entry, {"username"}), secret = text_at(entry, {"password"});
  return user.empty() || secret.empty() ? std::string() : encoded(user, secret, "", server);
}

}  // namespace

std::string base64(const std::string& bytes, bool for_urls) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size(); at += 3) {
    unsigned group = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - at);
    for (std::size_t i = 0; i < 3; ++i) group = group << 8 | (i < have ? static_cast<unsigned char>(bytes[at + i]) : 0u);
    for (std::size_t i = 0; i < 4; ++i) {
      char c = i <= have ? letters[group >> (18 - 6 * i) & 63] : '=';
      if (for_urls && c == '+') c = '-';
      if (for_urls && c == '/') c = '_';
      out += c;
    }
  }
  return out;
}

std::string from_base64(const std::string& text) {
  std::string out;
  unsigned group = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=' || c == '\n' || c == '\r') continue;
    const char plain = c == '-' ? '+' : c == '_' ? '/' : c;
    const std::size_t value = std::string_view(letters).find(plain);
    if (value == std::string_view::npos) return {};
    group = (group << 6 | static_cast<unsigned>(value)) & 0xffffff;
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(group >> bits & 0xff);
  }
  return out;
}

std::string registry_of(const std::string& image) {
  const std::size_t slash = image.find('/');
  if (slash == std::string::npos) return "docker.io";
  const std::string first = image.substr(0, slash);
  if (first.find_first_of(".:") == std::string::npos && first != "localhost") return "docker.io";
  return first == "index.docker.io" ? "docker.io" : first;
}

std::string registry_auth(const Call& call, const std::vector<std::string>& files, const std::string& image) {
  const std::string registry = registry_of(image), server = registry == "docker.io" ? docker_hub : registry;
  for (const std::string& file : files) {
    const json::value config = read_json(file);
    if (!config.is_object()) continue;
    std::string helper = text_at(config, {"credHelpers", registry});
    if (helper.empty()) helper = text_at(config, {"credHelpers", server});
    if (helper.empty()) helper = text_at(config, {"credsStore"});
    if (!helper.empty())
      if (std::string found = of_helper(call, helper, server); !found.empty()) return found;
    const json::value* auths = find(config, {"auths"});
    if (auths == nullptr || !auths->is_object()) continue;
    // Podman's may be for a part of a registry: the longest that fits.
    std::string best;
    std::size_t length = 0;
    for (const auto& [name, entry] : auths->get_object()) {
      const std::string key = bare({name.data(), name.size()});
      const bool whole = key == registry, part = key.size() > registry.size() && image.rfind(key, 0) == 0 && image.size() > key.size() &&
                                                 (image[key.size()] == '/' || image[key.size()] == ':' || image[key.size()] == '@');
      if ((!whole && !part) || key.size() < length) continue;
      if (std::string found = of_entry(entry, server); !found.empty()) {
        best = std::move(found);
        length = key.size();
      }
    }
    if (!best.empty()) return best;
  }
  return {};
}

}  // namespace kortex::engine
