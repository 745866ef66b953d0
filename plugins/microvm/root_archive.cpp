#include "root_archive.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "files.hpp"
#include "image_archive.hpp"
#include "programs.hpp"

namespace kortex::microvm {

namespace {

struct Packing {
  const char *program, *package;
};

/// The program that unpacks what begins so; nullptr: none is needed, or none is known.
const Packing* packing_of(const std::string& begin) {
  static constexpr Packing gzip{"gzip", "gzip"}, xz{"xz", "xz-utils"}, zstd{"zstd", "zstd"};
  if (begin.compare(0, 2, "\x1f\x8b") == 0) return &gzip;
  if (begin.compare(0, 4, "\xfd" "7zX") == 0) return &xz;
  if (begin.compare(0, 4, "\x28\xb5\x2f\xfd") == 0) return &zstd;
  return nullptr;
}

std::string sha256(const Call& call, const Span& span) {
  const ProcessResult result = run_fed(call, {"sha256sum"}, [&](int fd) { copy_to(fd, span); });
  if (result.exit_code != 0 || result.out.size() < 64) throw Error(KORTEX_E_FAILED, "cannot compute a digest", {}, result.err);
  return result.out.substr(0, 64);
}

Fd opened(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) fail_system("cannot read " + quoted(path));
  return file;
}

std::string first_line(const std::string& text) {
  const std::size_t begin = std::min(text.find_first_not_of('\n'), text.size());
  return text.substr(begin, text.find('\n', begin) - begin);
}

}  // namespace

bool RootArchive::is_one(const std::string& path) {
  const std::string begin = contents(path, 512);
  return packing_of(begin) != nullptr || (begin.size() == 512 && begin.compare(257, 5, "ustar") == 0);
}

std::string RootArchive::digest(const Call& call, const std::string& path) {
  const Fd file = opened(path);
  return sha256(call, whole_of(file.get()));
}

/// `span` itself where it is not packed. `name`: of a part of the archive, or "".
Span RootArchive::unpacked(const Call& call, const Span& span, const std::string& name) {
  const Packing* packing = packing_of(read_at(span, 0, 4));
  if (packing == nullptr) return span;
  const std::string program = need_program(packing->program, packing->package, "use " + quoted(m_path) + " as the root");
  std::string pattern = m_fresh + "-XXXXXX";
  Fd file(::mkostemp(pattern.data(), O_CLOEXEC));
  if (!file) fail_system("cannot make '" + pattern + "'");
  ::unlink(pattern.c_str());
  const ProcessResult result = run_fed(call, {program, "-dc"}, [&](int fd) { copy_to(fd, span); }, file.get());
  if (result.exit_code != 0) throw BadArchive((name.empty() ? "it" : "its layer " + quoted(name)) + " cannot be unpacked: " + first_line(result.err));
  m_unpacked.push_back(std::move(file));
  return whole_of(m_unpacked.back().get());
}

void RootArchive::read(const Call& call) {
  const auto between = [&call] { call.throw_if_cancelled(); };
  const Span plain = unpacked(call, whole_of(m_file.get()), {});
  const ImageArchive image(plain);
  if (!image.is_image()) return m_layers.add(plain, false, between);
  const auto digest = [&call](const Span& span) { return sha256(call, span); };
  for (const ImageLayer& layer : image.layers(own_platform(), digest)) {
    const Span content = unpacked(call, layer.blob, layer.name);
    if (!layer.unpacked.empty())
      if (const std::string is = digest(content); is != layer.unpacked)
        throw BadArchive("its layer " + quoted(layer.name) + " is damaged: it has the digest sha256:" + is + " instead of sha256:" + layer.unpacked);
    try {
      m_layers.add(content, true, between);
    } catch (const BadArchive& error) {
      throw BadArchive("in its layer " + quoted(layer.name) + ": " + error.what());
    }
  }
}

RootArchive::RootArchive(const Call& call, const std::string& path, const std::string& fresh) : m_path(path), m_fresh(fresh), m_file(opened(path)) {
  try {
    read(call);
    if (m_layers.empty()) throw BadArchive("there is nothing in it");
  } catch (const SeveralImages& error) {
    const std::string from = error.format() + ":" + path + ":" + error.first();
    throw Error(KORTEX_E_INVALID, refusal(error), error.first().empty() ? std::string() : "skopeo copy " + from + " " + error.format() + ":root.tar");
  } catch (const OtherPlatform& error) {
    throw Error(KORTEX_E_UNSUPPORTED, refusal(error));
  } catch (const BadArchive& error) {
    throw Error(KORTEX_E_INVALID, refusal(error));
  }
}

void RootArchive::write(int fd) const {
  try {
    m_layers.write(fd);
  } catch (const BadArchive& error) {
    throw Error(KORTEX_E_INVALID, refusal(error));
  }
}

}  // namespace kortex::microvm
