#include "tar.hpp"

#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>

#include "files.hpp"

namespace kortex::microvm {

namespace {

using Block = std::array<char, 512>;
using Records = std::vector<std::pair<std::string, std::string>>;

constexpr std::uint64_t largest_header = 1 << 20;
constexpr std::size_t longest_path = 4096;

constexpr std::size_t name_at = 0, name_size = 100, size_at = 124, size_size = 12, sum_at = 148, type_at = 156, link_at = 157, link_size = 100, magic_at = 257,
                      owner_names_at = 265, devices_at = 329, prefix_at = 345, prefix_size = 155, sparse_more_at = 482, sparse_block_more_at = 504;

std::uint64_t padded(std::uint64_t size) { return (size + 511) / 512 * 512; }

std::string text_in(const Block& block, std::size_t at, std::size_t size) { return {block.data() + at, ::strnlen(block.data() + at, size)}; }

bool has_magic(const Block& block, const char* magic, std::size_t size) { return std::memcmp(block.data() + magic_at, magic, size) == 0; }

std::uint64_t number_in(const Block& block, std::size_t at, std::size_t size) {
  const char* field = block.data() + at;
  std::uint64_t value = 0;
  if ((static_cast<unsigned char>(field[0]) & 0x80) != 0) {  // GNU's, for what is too large: in base 256
    for (std::size_t i = 0; i < size; ++i) {
      const unsigned char byte = static_cast<unsigned char>(field[i]) & (i == 0 ? 0x7f : 0xff);
      if (value >> 55 != 0) throw BadArchive("it is damaged: there is no such number");
      value = value << 8 | byte;
    }
    return value;
  }
  std::size_t i = 0;
  while (i < size && field[i] == ' ') ++i;
  for (; i < size && field[i] != '\0' && field[i] != ' '; ++i) {
    if (field[i] < '0' || field[i] > '7') throw BadArchive("it is damaged: a number has other digits than octal ones");
    value = value << 3 | static_cast<std::uint64_t>(field[i] - '0');
  }
  return value;
}

std::uint32_t sum_of(const Block& block, bool with_signs) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < block.size(); ++i) {
    const char byte = i >= sum_at && i < sum_at + 8 ? ' ' : block[i];
    sum += with_signs ? static_cast<std::uint32_t>(static_cast<std::int32_t>(static_cast<signed char>(byte))) : static_cast<unsigned char>(byte);
  }
  return sum;
}

Records records_in(const std::string& text) {
  Records records;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t length = 0;
    const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), length);
    const std::size_t key = static_cast<std::size_t>(end - text.data()) + 1;
    if (error != std::errc() || length > text.size() - at || key >= at + length || *end != ' ' || text[at + length - 1] != '\n')
      throw BadArchive("it is damaged: an extended header cannot be read");
    const std::string line = text.substr(key, at + length - 1 - key);
    const std::size_t equals = line.find('=');
    if (equals == std::string::npos) throw BadArchive("it is damaged: an extended header cannot be read");
    records.emplace_back(line.substr(0, equals), line.substr(equals + 1));
    at += length;
  }
  return records;
}

const std::string* find(const Records& records, const char* key) {
  const std::string* found = nullptr;  // the last one holds
  for (const auto& [name, value] : records)
    if (name == key) found = &value;
  return found;
}

std::string record(const std::string& key, const std::string& value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) length = std::to_string(length).size() + rest;
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

void put(Block& block, std::size_t at, std::size_t size, const std::string& text) {
  std::memset(block.data() + at, 0, size);
  std::memcpy(block.data() + at, text.data(), std::min(size, text.size()));
}

void put_number(Block& block, std::size_t at, std::size_t size, std::uint64_t number) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(size - 1), static_cast<unsigned long long>(number));
  put(block, at, size, text);
}

void write_block(int fd, Block block) {
  put_number(block, sum_at, 7, sum_of(block, false));
  block[sum_at + 7] = ' ';
  write_all(fd, {block.data(), block.size()}, "the archive");
}

Block fresh_block(char type, const std::string& name, std::uint64_t mode, std::uint64_t size) {
  Block block{};
  put(block, name_at, name_size, name);
  put_number(block, tar_mode.first, tar_mode.second, mode);
  for (const auto& [at, width] : {tar_uid, tar_gid}) put_number(block, at, width, 0);
  put_number(block, size_at, size_size, size);
  put_number(block, 136, 12, 0);
  block[type_at] = type;
  put(block, magic_at, 8, std::string("ustar\00000", 8));
  return block;
}

void write_headers(int fd, Block block, Records records, const std::string& path, const std::string& link) {
  if (path.size() > name_size) records.emplace_back("path", path);
  if (link.size() > link_size) records.emplace_back("linkpath", link);
  put(block, name_at, name_size, path);
  put(block, link_at, link_size, link);
  std::string extended;
  for (const auto& [key, value] : records) extended += record(key, value);
  if (!extended.empty()) {
    write_block(fd, fresh_block('x', "extended", 0644, extended.size()));
    extended.resize(padded(extended.size()));
    write_all(fd, extended, "the archive");
  }
  write_block(fd, block);
}

/// Without what is said anew, and without names of owners: they are another machine's.
Block carried(const TarEntry& entry) {
  Block block = entry.block;
  if (!has_magic(block, "ustar", 5)) std::memset(block.data() + devices_at, 0, 16);
  block[type_at] = static_cast<char>(entry.kind);
  std::memset(block.data() + owner_names_at, 0, 64);
  if (entry.kind == TarEntry::Kind::sparse_file) return block;  // GNU's, which has the map of its holes at the end
  put(block, magic_at, 8, std::string("ustar\00000", 8));
  std::memset(block.data() + prefix_at, 0, block.size() - prefix_at);
  return block;
}

}  // namespace

Span whole_of(int fd) {
  struct stat status {};
  if (::fstat(fd, &status) != 0) fail_system("cannot read an archive");
  return {fd, 0, static_cast<std::uint64_t>(status.st_size)};
}

std::string read_at(const Span& span, std::uint64_t offset, std::size_t size) {
  std::string bytes(offset < span.size ? static_cast<std::size_t>(std::min<std::uint64_t>(size, span.size - offset)) : 0, '\0');
  for (std::size_t got = 0; got < bytes.size();) {
    const ssize_t n = ::pread(span.fd, bytes.data() + got, bytes.size() - got, static_cast<off_t>(span.begin + offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_system("cannot read an archive");
    if (n == 0) bytes.resize(got);  // it has become shorter
    got += static_cast<std::size_t>(n);
  }
  return bytes;
}

void copy_to(int fd, const Span& span) {
  off_t at = static_cast<off_t>(span.begin);
  for (std::uint64_t left = span.size; left > 0;) {
    const ssize_t n = ::sendfile(fd, span.fd, &at, static_cast<std::size_t>(std::min<std::uint64_t>(left, 1 << 20)));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_system("cannot read an archive");
    if (n == 0) throw BadArchive("it has become shorter meanwhile");
    left -= static_cast<std::uint64_t>(n);
  }
}

std::string TarReader::take(std::uint64_t size, const std::string& what) {
  if (size > largest_header) throw BadArchive("it is damaged: " + what + " of " + std::to_string(size) + " bytes");
  std::string bytes = read_at(m_archive, m_at, static_cast<std::size_t>(size));
  if (bytes.size() < size) throw BadArchive("it is cut off");
  m_at += padded(size);
  return bytes;
}

TarEntry TarReader::at(std::uint64_t begin) {
  m_at = begin;
  std::optional<TarEntry> entry = next();
  if (!entry) throw BadArchive("it has changed meanwhile");
  return *std::move(entry);
}

std::optional<TarEntry> TarReader::next() {
  TarEntry entry;
  entry.begin = m_at;
  std::optional<std::string> long_path, long_link;
  for (;;) {
    const bool in_between = entry.begin == m_at;
    if (m_at == m_archive.size && in_between) return std::nullopt;
    const std::string header = take(512, "a header");
    std::memcpy(entry.block.data(), header.data(), 512);
    if (std::all_of(header.begin(), header.end(), [](char c) { return c == '\0'; })) {
      if (!in_between) throw BadArchive("it is cut off");
      m_has_end = true;
      return std::nullopt;
    }
    const std::uint64_t sum = number_in(entry.block, sum_at, 8);
    if (sum != sum_of(entry.block, false) && sum != sum_of(entry.block, true)) throw BadArchive("it is damaged: a header's sum is wrong");
    std::uint64_t size = number_in(entry.block, size_at, size_size);
    const char type = entry.block[type_at];
    switch (type) {
      case 'x':
      case 'X':
        entry.records = records_in(take(size, "an extended header"));
        continue;
      case 'L':
        long_path = take(size, "a path").c_str();
        continue;
      case 'K':
        long_link = take(size, "a link").c_str();
        continue;
      case 'g':  // of the archive as a whole: a comment, mostly
      case 'V':
        (void)take(size, "an extended header");
        entry.begin = m_at;
        continue;
      default: break;
    }
    entry.path = text_in(entry.block, name_at, name_size);
    if (const std::string prefix = text_in(entry.block, prefix_at, prefix_size); !prefix.empty() && has_magic(entry.block, "ustar\0", 6))
      entry.path = prefix + "/" + entry.path;
    entry.link = text_in(entry.block, link_at, link_size);
    if (long_path) entry.path = *long_path;
    if (long_link) entry.link = *long_link;
    if (const std::string* path = find(entry.records, "path")) entry.path = *path;
    if (const std::string* path = find(entry.records, "GNU.sparse.name")) entry.path = *path;
    if (const std::string* link = find(entry.records, "linkpath")) entry.link = *link;
    if (entry.path.find('\0') != std::string::npos || entry.link.find('\0') != std::string::npos || std::max(entry.path.size(), entry.link.size()) > longest_path)
      throw BadArchive("it is damaged: a path that there cannot be");
    if (const std::string* given = find(entry.records, "size")) {
      const auto [end, error] = std::from_chars(given->data(), given->data() + given->size(), size);
      if (error != std::errc() || end != given->data() + given->size()) throw BadArchive("it is damaged: there is no such number");
    }
    std::uint64_t kept = 0;
    switch (type) {
      case '\0':
      case '0':
      case '7':
        entry.kind = !entry.path.empty() && entry.path.back() == '/' ? TarEntry::Kind::directory : TarEntry::Kind::file;
        if (entry.kind == TarEntry::Kind::file) kept = size;
        break;
      case '1':
      case '2':
      case '3':
      case '4':
      case '5':
      case '6':
        entry.kind = static_cast<TarEntry::Kind>(type);
        size = 0;  // which a directory may have been given, for no content
        break;
      case 'D': entry.kind = TarEntry::Kind::directory; break;
      case 'S': {
        entry.kind = TarEntry::Kind::sparse_file;
        const std::uint64_t first = m_at;
        size = std::min(size, m_archive.size);  // and refused below
        for (bool more = entry.block[sparse_more_at] != '\0'; more;) more = take(512, "a header")[sparse_block_more_at] != '\0';
        size += m_at - first;
        kept = size;
        m_at = first;
        break;
      }
      default: throw BadArchive("'" + entry.path + "' is of a kind that is not known");
    }
    if (size > m_archive.size - std::min(m_at, m_archive.size)) throw BadArchive("it is cut off in '" + entry.path + "'");
    entry.content = {m_archive.fd, m_archive.begin + m_at, kept};
    m_at += padded(size);
    return entry;
  }
}

std::uint64_t tar_number(const TarEntry& entry, std::size_t offset, std::size_t size) {
  // A record of pax has what does not fit.
  for (const auto& [key, field] : {std::pair{"uid", tar_uid}, {"gid", tar_gid}}) {
    const std::string* given = offset == field.first ? find(entry.records, key) : nullptr;
    std::uint64_t value = 0;
    if (given != nullptr && std::from_chars(given->data(), given->data() + given->size(), value).ec == std::errc()) return value;
  }
  return number_in(entry.block, offset, size);
}

void write_entry(int fd, const TarEntry& entry, const std::string& path) {
  Records records;
  for (const auto& [key, value] : entry.records) {
    if (key == "GNU.sparse.name") records.emplace_back(key, path);
    else if (key != "path" && key != "linkpath" && key != "uname" && key != "gname" && (key != "size" || entry.content.size != 0)) records.emplace_back(key, value);
  }
  Block block = carried(entry);
  if (entry.content.size == 0) put_number(block, size_at, size_size, 0);
  write_headers(fd, block, records, path, entry.kind == TarEntry::Kind::symbolic_link ? entry.link : std::string());
  copy_to(fd, entry.content);
  write_all(fd, std::string(padded(entry.content.size) - entry.content.size, '\0'), "the archive");
}

void write_hard_link(int fd, const TarEntry& entry, const std::string& path, const std::string& target) {
  TarEntry link = entry;
  link.kind = TarEntry::Kind::hard_link;
  Block block = carried(link);
  put_number(block, size_at, size_size, 0);
  write_headers(fd, block, {}, path, target);
}

void write_directory(int fd, const std::string& path) { write_headers(fd, fresh_block('5', "", 0755, 0), {}, path, {}); }

void write_end(int fd) { write_all(fd, std::string(1024, '\0'), "the archive"); }

}  // namespace kortex::microvm
