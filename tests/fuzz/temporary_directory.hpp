/// For what is read by name: files of one process, in memory where that can be had.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace kortex::fuzz {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string name = (std::filesystem::exists("/dev/shm") ? "/dev/shm" : std::filesystem::temp_directory_path().string()) + "/kortex-fuzz-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    m_path = name;
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(m_path, ignored);
  }

  [[nodiscard]] const std::filesystem::path& path() const { return m_path; }

  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    std::ofstream(m_path / name, std::ios::binary | std::ios::trunc).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return m_path / name;
  }

 private:
  std::filesystem::path m_path;
};

}  // namespace kortex::fuzz
