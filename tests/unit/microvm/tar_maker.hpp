/// Tar archives for tests, made without the code that is tested.
#pragma once

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "system/sha256.hpp"

namespace kortex::test {

inline std::string sha256_of(const std::string& bytes) {
  host::Sha256 sum;
  sum.add(bytes);
  return sum.digest();
}

struct TarAttributes {
  unsigned mode = 0644, uid = 0, gid = 0, major = 0, minor = 0;
  std::string link, user;
  std::vector<std::pair<std::string, std::string>> records;
};

class TarMaker {
 public:
  TarMaker& directory(const std::string& path, const TarAttributes& with = {0755, 0, 0, 0, 0, {}, {}, {}}) { return add('5', path, {}, with); }
  TarMaker& file(const std::string& path, const std::string& content, const TarAttributes& with = {}) { return add('0', path, content, with); }
  TarMaker& symbolic_link(const std::string& path, const std::string& to) { return add('2', path, {}, {0777, 0, 0, 0, 0, to, {}, {}}); }
  TarMaker& hard_link(const std::string& path, const std::string& to) { return add('1', path, {}, {0644, 0, 0, 0, 0, to, {}, {}}); }

  TarMaker& add(char type, const std::string& path, const std::string& content, const TarAttributes& with) {
    if (!with.records.empty()) {
      std::string text;
      for (const auto& [key, value] : with.records) {
        std::size_t length = key.size() + value.size() + 3;
        length += std::to_string(length + 3).size();
        text += std::to_string(length) + " " + key + "=" + value + "\n";
      }
      member('x', "x", text, {});
    }
    member(type, path, content, with);
    return *this;
  }

  [[nodiscard]] std::string bytes() const { return m_bytes + std::string(1024, '\0'); }
  [[nodiscard]] const std::string& unended() const { return m_bytes; }

 private:
  void member(char type, const std::string& path, const std::string& content, const TarAttributes& with) {
    std::string block(512, '\0');
    const auto text = [&](std::size_t at, std::size_t size, const std::string& value) { block.replace(at, std::min(size, value.size()), value.substr(0, size)); };
    const auto number = [&](std::size_t at, int size, unsigned long value) {
      char digits[32];
      std::snprintf(digits, sizeof digits, "%0*lo", size - 1, value);
      text(at, static_cast<std::size_t>(size), digits);
    };
    text(0, 100, path);
    number(100, 8, with.mode);
    number(108, 8, with.uid);
    number(116, 8, with.gid);
    number(124, 12, content.size());
    number(136, 12, 1000000000);
    block[156] = type;
    text(157, 100, with.link);
    block.replace(257, 8, std::string("ustar\00000", 8));
    text(265, 32, with.user);
    number(329, 8, with.major);
    number(337, 8, with.minor);
    block.replace(148, 8, 8, ' ');
    unsigned long sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    number(148, 7, sum);
    m_bytes += block + content + std::string((512 - content.size() % 512) % 512, '\0');
  }

  std::string m_bytes;
};

inline std::string written(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

}  // namespace kortex::test
