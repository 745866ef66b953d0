/// Images in one file, as `podman save`, `docker save` and skopeo write them: "oci-archive" (the OCI image layout in a tar archive) and
/// "docker-archive" (manifest.json).
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "tar.hpp"

namespace kortex::microvm {

/// There is more than one that could be meant.
class SeveralImages : public BadArchive {
 public:
  SeveralImages(const std::string& what, std::string format, std::string first) : BadArchive(what), m_format(std::move(format)), m_first(std::move(first)) {}
  [[nodiscard]] const std::string& format() const { return m_format; }  ///< "oci-archive", "docker-archive"
  [[nodiscard]] const std::string& first() const { return m_first; }    ///< the name of one of them; "": they have none

 private:
  std::string m_format, m_first;
};

/// There is an image, and none for this machine.
class OtherPlatform : public BadArchive {
 public:
  using BadArchive::BadArchive;
};

struct ImageLayer {
  std::string name;      ///< for messages
  Span blob;             ///< compressed or not
  std::string unpacked;  ///< SHA-256 of it when it is unpacked; "": not told
};

class ImageArchive {
 public:
  /// SHA-256 in hexadecimal digits.
  using Digest = std::function<std::string(const Span&)>;

  explicit ImageArchive(const Span& archive);
  /// It is one at all. If not, it is a file system.
  [[nodiscard]] bool is_image() const { return has("manifest.json") || (has("oci-layout") && has("index.json")); }
  /// Of the one image for `platform` ("linux/amd64"), lowest first; blobs that are named by digest are compared with it. Throws BadArchive.
  [[nodiscard]] std::vector<ImageLayer> layers(const std::string& platform, const Digest&) const;

 private:
  [[nodiscard]] bool has(const std::string& name) const { return m_files.count(name) != 0; }
  [[nodiscard]] std::vector<ImageLayer> oci_layers(const std::string& platform, const Digest&) const;
  [[nodiscard]] std::vector<ImageLayer> docker_layers(const std::string& platform) const;
  /// Throws BadArchive: it is missing.
  [[nodiscard]] Span file(const std::string& name) const;

  std::map<std::string, Span> m_files;
};

/// This machine's.
[[nodiscard]] std::string own_platform();

}  // namespace kortex::microvm
