// Layers of an image, which anybody may have made. The first byte tells whether the rest is a tar archive as it stands, or describes two
// layers, whose headers then have the sums that no luck would find.
#include <fcntl.h>
#include <sys/mman.h>

#include <algorithm>
#include <cstdio>
#include <set>
#include <system_error>

#include <kortex/fd.hpp>

#include "image_archive.hpp"
#include "invariant.hpp"
#include "layers.hpp"

using namespace kortex::microvm;
namespace fuzz = kortex::fuzz;

namespace {

kortex::Fd file_of(const std::string& bytes) {
  kortex::Fd file(::memfd_create("layer", MFD_CLOEXEC));
  fuzz::require(file && ::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "a file in memory can be written");
  return file;
}

std::string bytes_of(const Layers& layers) {
  const kortex::Fd out(::memfd_create("merged", MFD_CLOEXEC));
  layers.write(out.get());
  const Span all = whole_of(out.get());
  return read_at(all, 0, all.size);
}

std::string up_to_line(std::string_view& text) {
  const std::size_t end = std::min(text.find('\n'), text.size());
  std::string line(text.substr(0, end));
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

/// A line each: the type, the path, the link; "=" begins the next layer.
std::string layer_of(std::string_view& text) {
  std::string bytes;
  while (!text.empty()) {
    const std::string first = up_to_line(text);
    if (first == "=") break;
    const std::string link = up_to_line(text);
    if (first.empty()) continue;
    std::string block(512, '\0');
    const std::string content = first[0] == 'x' || first[0] == 'L' || first[0] == 'K' ? link : std::string();
    block.replace(0, std::min<std::size_t>(100, first.size() - 1), first.substr(1, 100));
    block.replace(100, 8, "0000644", 8);
    char digits[32];
    std::snprintf(digits, sizeof digits, "%011zo", content.size());
    block.replace(124, 12, digits, 12);
    block[156] = first[0];
    block.replace(157, std::min<std::size_t>(100, link.size()), link.substr(0, 100));
    block.replace(257, 8, "ustar\00000", 8);
    block.replace(148, 8, 8, ' ');
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    std::snprintf(digits, sizeof digits, "%06o", sum);
    block.replace(148, 7, digits, 7);
    bytes += block + content + std::string((512 - content.size() % 512) % 512, '\0');
  }
  return bytes + std::string(1024, '\0');
}

void check(const std::string& merged) {
  const kortex::Fd file = file_of(merged);
  std::set<std::string> seen, directories{""};
  TarReader reader(whole_of(file.get()));
  while (const std::optional<TarEntry> entry = reader.next()) {
    const std::string& path = entry->path;
    fuzz::require(!path.empty() && path.front() != '/' && path.back() != '/', "a path is relative");
    fuzz::require(("/" + path + "/").find("/../") == std::string::npos, "no path leads out");
    fuzz::require(seen.insert(path).second, "a path comes once");
    const std::size_t slash = path.rfind('/');
    fuzz::require(directories.count(slash == std::string::npos ? "" : path.substr(0, slash)) == 1, "a directory comes before what it holds");
    if (entry->kind == TarEntry::Kind::directory) directories.insert(path);
    if (entry->kind == TarEntry::Kind::hard_link) fuzz::require(seen.count(entry->link) == 1, "a hard link comes after what it is to");
  }
  fuzz::require(reader.has_end(), "the end is marked");
  Layers again;
  again.add(whole_of(file.get()), false);
  fuzz::require(bytes_of(again) == merged, "put together once more it is the same");
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text = fuzz::text_of(data, size);
  if (text.empty()) return 0;
  const bool as_it_stands = text.front() == 'r', marks = text.front() != 'p';
  text.remove_prefix(1);
  std::vector<kortex::Fd> files;
  Layers layers;
  try {
    if (as_it_stands) {
      files.push_back(file_of(std::string(text)));
      const ImageArchive image(whole_of(files.back().get()));
      if (image.is_image()) (void)image.layers("linux/amd64", [](const Span& span) { return std::string(span.size % 65, '0'); });
      layers.add(whole_of(files.back().get()), marks);
    } else {
      for (int layer = 0; layer < 3; ++layer) {
        files.push_back(file_of(layer_of(text)));
        layers.add(whole_of(files.back().get()), marks);
      }
    }
  } catch (const BadArchive&) {
    return 0;
  }
  check(bytes_of(layers));
  return 0;
}
