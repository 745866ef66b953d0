// Files that pin runtimes. Whatever stands in one, it may only let pass what it names.
#include "runtimes/pins.hpp"

#include "invariant.hpp"
#include "temporary_directory.hpp"

using kortex::fuzz::require;

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const kortex::fuzz::TemporaryDirectory directory;
  static const std::filesystem::path plugin = directory.write("plugin.so", "a runtime");
  const std::string_view text = kortex::fuzz::text_of(data, size);
  (void)directory.write("podman.conf", text);
  const kortex::host::Pins pins({directory.path()});
  const std::string pinned = pins.refusal("podman", plugin), another = pins.refusal("docker", plugin);
  // No file that is read here names the digest of the plugin, so that only what says nothing lets it pass.
  const bool says_something = [&] {
    for (std::size_t at = 0; at < text.size();) {
      const std::size_t end = std::min(text.find('\n', at), text.size());
      const std::string_view line = text.substr(at, std::min(text.find('#', at), end) - at);
      if (line.find_first_not_of(" \t\r") != std::string_view::npos) return true;
      at = end + 1;
    }
    return false;
  }();
  require(pinned.empty() == !says_something, "a runtime that is not pinned passes where nothing is said, and only there");
  require(!(another.empty() && pinned.find("not understood") != std::string::npos), "a pin that is not understood lets nothing pass");
  return 0;
}
