#include "cli/command.hpp"
#include "cli/invocation.hpp"
#include "cli/output/json.hpp"
#include "cli/output/table.hpp"
#include "cli/product.hpp"

namespace kortex::host {
namespace {

std::string joined(const std::vector<std::string>& texts) {
  std::string all;
  for (const std::string& text : texts) all += (all.empty() ? "" : ", ") + text;
  return all.empty() ? "none" : all;
}

int run(Invocation& invocation) {
  const Registry registry = invocation.registry();
  std::vector<std::string> runtimes;
  for (const PluginFile& file : registry.scan())
    if (file.loadable() && !file.shadowed) runtimes.push_back(file.name);
  const std::vector<std::string> agents = invocation.agents().names();
  if (invocation.json()) {
    JsonText json;
    json.begin_object().member("version", product_version()).member("agents", agents).member("runtimes", runtimes);
    json.end_object();
    invocation.out() << json.take();
    return 0;
  }
  Fields fields;
  fields.add("version", product_version());
  fields.add("runtime abi", abi_version());
  fields.add("storage", invocation.store().root().string());
  fields.add("runtimes", joined(runtimes));
  fields.add("agents", joined(agents));
  std::string label = "looks for runtimes in";
  for (const SearchDirectory& directory : registry.path()) {
    fields.add(label, directory.path.string() + " (" + directory.origin + ')');
    label.clear();
  }
  invocation.out() << fields.render();
  return 0;
}

}  // namespace

extern const Command info_command;
constinit const Command info_command = {
    .verb = "info",
    .summary = "show this installation: version, storage, runtimes, agents",
    .run = run,
};

}  // namespace kortex::host
