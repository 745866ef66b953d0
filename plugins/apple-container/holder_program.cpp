#include "holder_program.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include <kortex/error.hpp>

#if defined(KORTEX_CARRIED_HOLDER)
extern "C" {
extern const char kortex_apple_holder_begin[];
extern const char kortex_apple_holder_end[];
}
#endif

namespace kortex::apple {
namespace {

struct Machine {
  unsigned number;  ///< e_machine of ELF
  const char* name; ///< as images call it
};
constexpr Machine machines[] = {{183, "arm64"}, {62, "amd64"}};

std::string bytes_of(const std::string& file) {
  std::ifstream in(file, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
}

}  // namespace

std::string architecture_of(std::string_view elf) {
  // Both are little-endian and of 64 bits.
  if (elf.size() < 64 || elf.substr(0, 6) != std::string_view("\x7f" "ELF\x02\x01", 6)) return {};
  const unsigned machine = static_cast<unsigned char>(elf[18]) | static_cast<unsigned>(static_cast<unsigned char>(elf[19])) << 8;
  for (const Machine& known : machines)
    if (known.number == machine) return known.name;
  return {};
}

std::string_view carried_holder() {
#if defined(KORTEX_CARRIED_HOLDER)
  return {kortex_apple_holder_begin, static_cast<std::size_t>(kortex_apple_holder_end - kortex_apple_holder_begin)};
#else
  return {};
#endif
}

void put_holder(const std::string& architecture, const std::string& installed, const std::string& directory) {
  const std::string target = directory + "/kortex-session";
  std::string chosen = installed.empty() ? std::string() : bytes_of(installed);
  if (architecture_of(chosen) != architecture) chosen = carried_holder();
  if (chosen.empty() || architecture_of(chosen) != architecture)
    throw Error(KORTEX_E_UNSUPPORTED, "cannot run the agent in a linux/" + architecture + " container: there is no session holder for it here");
  if (bytes_of(target) == chosen) return;
  const std::string fresh = target + ".new";
  {
    std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
    out.write(chosen.data(), static_cast<std::streamsize>(chosen.size()));
    if (!out.flush()) throw std::system_error(errno, std::generic_category(), "cannot write '" + fresh + "'");
  }
  if (::chmod(fresh.c_str(), 0755) != 0 || ::rename(fresh.c_str(), target.c_str()) != 0)
    throw std::system_error(errno, std::generic_category(), "cannot write '" + target + "'");
}

}  // namespace kortex::apple
