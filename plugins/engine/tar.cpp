#include "engine/tar.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <kortex/error.hpp>

namespace kortex::engine {
namespace {

constexpr std::size_t block = 512;

// POSIX.1-1988, "ustar".
struct Header {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[6], version[2], uname[32], gname[32], major[8], minor[8],
      prefix[155], rest[12];
};
static_assert(sizeof(Header) == block);

void number(char* field, std::size_t size, std::uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(size - 1), static_cast<unsigned long long>(value));
  std::memcpy(field, text, size - 1);
}

std::uint64_t number_in(const char* field, std::size_t size) { return std::strtoull(std::string(field, size).c_str(), nullptr, 8); }

std::string text_in(const char* field, std::size_t size) { return {field, ::strnlen(field, size)}; }

}  // namespace

void TarWriter::header(const std::string& path, char type, unsigned mode, std::uint32_t uid, std::uint32_t gid, std::uint64_t size) {
  Header head{};
  std::size_t cut = 0;
  if (path.size() > sizeof head.name) {
    cut = path.find('/', path.size() - sizeof head.name - 1);
    if (cut == std::string::npos || cut > sizeof head.prefix || cut + 1 == path.size())
      throw Error(KORTEX_E_UNSUPPORTED, "cannot put '/" + path + "' into a container: the path is too long");
    std::memcpy(head.prefix, path.data(), cut);
    ++cut;
  }
  std::memcpy(head.name, path.data() + cut, path.size() - cut);
  number(head.mode, sizeof head.mode, mode);
  number(head.uid, sizeof head.uid, uid & 07777777);
  number(head.gid, sizeof head.gid, gid & 07777777);
  number(head.size, sizeof head.size, size);
  number(head.mtime, sizeof head.mtime, 0);
  std::memset(head.checksum, ' ', sizeof head.checksum);
  head.type = type;
  std::memcpy(head.magic, "ustar", 6);
  std::memcpy(head.version, "00", 2);
  unsigned sum = 0;
  for (std::size_t i = 0; i < block; ++i) sum += reinterpret_cast<const unsigned char*>(&head)[i];
  std::snprintf(head.checksum, sizeof head.checksum, "%06o", sum & 0777777);
  m_bytes.append(reinterpret_cast<const char*>(&head), block);
}

void TarWriter::directory(const std::string& path, unsigned mode, std::uint32_t uid, std::uint32_t gid) { header(path + "/", '5', mode, uid, gid, 0); }

void TarWriter::file(const std::string& path, unsigned mode, std::uint32_t uid, std::uint32_t gid, std::string_view content) {
  header(path, '0', mode, uid, gid, content.size());
  m_bytes += content;
  m_bytes.append((block - content.size() % block) % block, '\0');
}

std::string TarWriter::finish() {
  m_bytes.append(2 * block, '\0');
  return std::move(m_bytes);
}

void read_tar(std::string_view archive, const std::function<void(const std::string& name, std::string_view content)>& each) {
  while (archive.size() >= block) {
    Header head;
    std::memcpy(&head, archive.data(), block);
    archive.remove_prefix(block);
    if (head.name[0] == '\0') return;
    const std::uint64_t size = number_in(head.size, sizeof head.size);
    if (size > archive.size()) return;
    if (head.type == '0' || head.type == '\0') {
      const std::string prefix = text_in(head.prefix, sizeof head.prefix), name = text_in(head.name, sizeof head.name);
      each(prefix.empty() ? name : prefix + "/" + name, archive.substr(0, size));
    }
    archive.remove_prefix(std::min<std::uint64_t>(archive.size(), (size + block - 1) / block * block));
  }
}

}  // namespace kortex::engine
