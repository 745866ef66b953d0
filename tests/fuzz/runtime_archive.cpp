// An archive that somebody gives to `runtime install`. tar and dpkg-deb read it, in processes of their own; what is tried
// here is what they may make us do: take out one runtime or none, and nothing beside it.
#include "runtimes/runtime_archive.hpp"

#include "invariant.hpp"
#include "system/error.hpp"
#include "temporary_directory.hpp"

using namespace kortex::host;
using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::int64_t most = 64 * 1024;
  const kortex::fuzz::TemporaryDirectory given, into;
  const std::filesystem::path archive = given.write("archive", kortex::fuzz::text_of(data, size));
  const Packing packing = packing_of(archive);
  if (packing == Packing::none) return 0;
  try {
    const std::filesystem::path runtime = take_runtime_out(archive, packing, into.path(), most);
    require(runtime.parent_path() == into.path(), "a runtime is where it was asked for");
    require(std::filesystem::symlink_status(runtime).type() == std::filesystem::file_type::regular, "a runtime is a file");
    const auto bytes = static_cast<std::int64_t>(std::filesystem::file_size(runtime));
    require(bytes > 0 && bytes <= most, "a runtime is not larger than one can be");
  } catch (const Error& error) {
    require(!error.message().empty(), "a refusal says why");
  }
  for (const auto& entry : std::filesystem::directory_iterator(into.path())) {
    const std::string name = entry.path().filename().string();
    require(name == "files.tar" || name == "runtime" || name.starts_with("libkortex-runtime-"), "nothing else is taken out");
  }
  for (const auto& entry : std::filesystem::directory_iterator(given.path()))
    require(entry.path() == archive, "nothing is left beside an archive");
  return 0;
}
