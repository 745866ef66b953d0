#include "image_archive.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>

namespace kortex::microvm {

namespace {

namespace json = boost::json;

constexpr std::size_t largest_document = 8 << 20;
constexpr unsigned deepest_index = 3;

std::string quoted_name(const std::string& name) { return "'" + name + "'"; }

/// "" for what leads out.
std::string normal_name(const std::string& name) {
  std::string text = std::filesystem::path("/" + name).lexically_normal().string();
  return text.substr(std::min(text.find_first_not_of('/'), text.size()));
}

json::value parsed(const std::string& text, const std::string& name) {
  if (text.size() >= largest_document) throw BadArchive(quoted_name(name) + " in it is too large");
  boost::system::error_code error;
  json::value value = json::parse(text, error);
  if (error) throw BadArchive(quoted_name(name) + " in it is no JSON: " + error.message());
  return value;
}

// What is missing or of another type is not there.

const json::value* member(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* at = &value;
  for (const std::string_view key : path) {
    const json::object* object = at->if_object();
    at = object == nullptr ? nullptr : object->if_contains(key);
    if (at == nullptr) return nullptr;
  }
  return at;
}

std::string text_at(const json::value& value, std::initializer_list<std::string_view> path) {
  const json::value* found = member(value, path);
  return found != nullptr && found->is_string() ? std::string(found->get_string()) : std::string();
}

const json::array& array_in(const json::value& value, std::initializer_list<std::string_view> path, const std::string& name) {
  const json::value* found = member(value, path);
  if (found == nullptr || !found->is_array()) throw BadArchive(quoted_name(name) + " in it has no list '" + std::string(*(path.end() - 1)) + "'");
  return found->get_array();
}

std::string platform_in(const json::value& value) {
  const std::string system = text_at(value, {"os"}), architecture = text_at(value, {"architecture"}), variant = text_at(value, {"variant"});
  if (system.empty() && architecture.empty()) return {};
  // What every processor of the kind has.
  const bool plain = variant.empty() || (architecture == "amd64" && variant == "v1") || (architecture == "arm64" && variant == "v8");
  return system + "/" + architecture + (plain ? "" : "/" + variant);
}

struct Found {
  std::string digest, name, platform;
  json::value manifest;
};

std::string all_names(const std::vector<Found>& found, std::string Found::*what) {
  std::string text;
  std::vector<std::string> told;
  for (const Found& one : found) {
    if (std::find(told.begin(), told.end(), one.*what) != told.end()) continue;
    told.push_back(one.*what);
    text += (text.empty() ? "" : ", ") + one.*what;
  }
  return text;
}

const Found& the_one(const std::vector<Found>& all, const std::string& platform, const std::string& format) {
  if (all.empty()) throw BadArchive("it holds no image");
  std::vector<Found> ours;
  for (const Found& one : all)
    if (one.platform == platform || one.platform.empty()) ours.push_back(one);
  if (ours.empty()) throw OtherPlatform("it holds an image for " + all_names(all, &Found::platform) + ", and this machine is " + platform);
  const std::string& digest = ours.front().digest;
  if (ours.size() > 1)
    throw SeveralImages("it holds several images: " + all_names(ours, &Found::name), format, ours.front().name == digest ? std::string() : ours.front().name);
  return *std::find_if(all.begin(), all.end(), [&](const Found& one) { return one.digest == digest; });
}

/// Blobs, each compared with its name.
class Blobs {
 public:
  Blobs(const std::map<std::string, Span>& files, const ImageArchive::Digest& digest) : m_files(files), m_digest(digest) {}

  [[nodiscard]] Span blob(const std::string& digest) const {
    const bool known = digest.compare(0, 7, "sha256:") == 0 && digest.size() == 7 + 64 && digest.find_first_not_of("0123456789abcdef", 7) == std::string::npos;
    if (!known) throw BadArchive(quoted_name(digest) + " in it is no digest of a kind that is known");
    const auto found = m_files.find("blobs/sha256/" + digest.substr(7));
    if (found == m_files.end()) throw BadArchive("its blob '" + digest + "' is missing");
    if (const std::string is = m_digest(found->second); is != digest.substr(7))
      throw BadArchive("its blob '" + digest + "' is damaged: it has the digest sha256:" + is);
    return found->second;
  }
  [[nodiscard]] json::value document(const std::string& digest) const { return parsed(read_at(blob(digest), 0, largest_document), digest); }

  void collect(const json::value& index, const std::string& index_name, const std::string& image, unsigned depth, std::vector<Found>& found) const {
    if (depth > deepest_index) throw BadArchive("its indexes lie in one another");
    for (const json::value& item : array_in(index, {"manifests"}, index_name)) {
      const std::string digest = text_at(item, {"digest"});
      const json::value* platform = member(item, {"platform"});
      const std::string told = platform != nullptr ? platform_in(*platform) : std::string();
      if (told == "unknown/unknown" || !text_at(item, {"annotations", "vnd.docker.reference.type"}).empty()) continue;  // tells of another
      std::string name = text_at(item, {"annotations", "io.containerd.image.name"});
      if (name.empty()) name = text_at(item, {"annotations", "org.opencontainers.image.ref.name"});
      if (name.empty()) name = image.empty() ? digest : image;
      if (std::any_of(found.begin(), found.end(), [&](const Found& one) { return one.digest == digest; })) continue;  // a second name
      // One for other machines may have been left out.
      if (!told.empty() && m_files.count("blobs/sha256/" + digest.substr(std::min<std::size_t>(7, digest.size()))) == 0 && depth > 0) continue;
      json::value manifest = document(digest);
      if (member(manifest, {"manifests"}) != nullptr) {
        collect(manifest, digest, name, depth + 1, found);
        continue;
      }
      const std::string config = text_at(manifest, {"config", "digest"});
      found.push_back({digest, name, told.empty() ? platform_in(document(config)) : told, std::move(manifest)});
    }
  }

 private:
  const std::map<std::string, Span>& m_files;
  const ImageArchive::Digest& m_digest;
};

}  // namespace

ImageArchive::ImageArchive(const Span& archive) {
  std::map<std::string, std::string> links;
  TarReader reader(archive);
  while (const std::optional<TarEntry> entry = reader.next()) {
    const std::string name = normal_name(entry->path);
    if (entry->kind == TarEntry::Kind::file) m_files[name] = entry->content;
    // `docker save` once told of equal layers in that way.
    if (entry->kind == TarEntry::Kind::symbolic_link) links[name] = normal_name(name.substr(0, name.rfind('/') + 1) + entry->link);
    if (entry->kind == TarEntry::Kind::hard_link) links[name] = normal_name(entry->link);
  }
  if (!reader.has_end()) throw BadArchive("it is cut off");  // of the archive as a whole no digest tells
  for (const auto& [name, target] : links)
    if (const auto found = m_files.find(target); found != m_files.end()) m_files.emplace(name, found->second);
}

Span ImageArchive::file(const std::string& name) const {
  const auto found = m_files.find(normal_name(name));
  if (found == m_files.end()) throw BadArchive(quoted_name(name) + " in it is missing");
  return found->second;
}

std::vector<ImageLayer> ImageArchive::layers(const std::string& platform, const Digest& digest) const {
  std::vector<ImageLayer> layers = has("oci-layout") && has("index.json") ? oci_layers(platform, digest) : docker_layers(platform);
  if (layers.empty()) throw BadArchive("its image has no layers");
  return layers;
}

std::vector<ImageLayer> ImageArchive::oci_layers(const std::string& platform, const Digest& digest) const {
  const Blobs blobs(m_files, digest);
  std::vector<Found> found;
  blobs.collect(parsed(read_at(file("index.json"), 0, largest_document), "index.json"), "index.json", {}, 0, found);
  const Found& image = the_one(found, platform, "oci-archive");
  std::vector<ImageLayer> layers;
  for (const json::value& layer : array_in(image.manifest, {"layers"}, image.digest)) {
    const std::string name = text_at(layer, {"digest"});
    layers.push_back({name, blobs.blob(name), {}});
  }
  return layers;
}

std::vector<ImageLayer> ImageArchive::docker_layers(const std::string& platform) const {
  const json::value manifest = parsed(read_at(file("manifest.json"), 0, largest_document), "manifest.json");
  if (!manifest.is_array()) throw BadArchive("'manifest.json' in it is no list");
  std::vector<Found> found;
  for (const json::value& image : manifest.get_array()) {
    const std::string config = text_at(image, {"Config"});
    std::string name = config;
    if (const json::value* tags = member(image, {"RepoTags"}); tags != nullptr && tags->is_array() && !tags->get_array().empty() && tags->get_array()[0].is_string())
      name = tags->get_array()[0].get_string();
    found.push_back({config, name, platform_in(parsed(read_at(file(config), 0, largest_document), config)), image});
  }
  const Found& image = the_one(found, platform, "docker-archive");
  const json::value config = parsed(read_at(file(image.digest), 0, largest_document), image.digest);
  const json::array& unpacked = array_in(config, {"rootfs", "diff_ids"}, image.digest);
  const json::array& names = array_in(image.manifest, {"Layers"}, "manifest.json");
  if (names.size() != unpacked.size())
    throw BadArchive("'manifest.json' in it has " + std::to_string(names.size()) + " layers, and '" + image.digest + "' has " + std::to_string(unpacked.size()));
  std::vector<ImageLayer> layers;
  for (std::size_t i = 0; i < names.size(); ++i) {
    const std::string name = names[i].is_string() ? std::string(names[i].get_string()) : std::string();
    const std::string digest = unpacked[i].is_string() ? std::string(unpacked[i].get_string()) : std::string();
    if (digest.compare(0, 7, "sha256:") != 0) throw BadArchive(quoted_name(digest) + " in it is no digest of a kind that is known");
    layers.push_back({name, file(name), digest.substr(7)});
  }
  return layers;
}

std::string own_platform() {
#if defined(__aarch64__)
  return "linux/arm64";
#else
  return "linux/amd64";
#endif
}

}  // namespace kortex::microvm
